"""What threads, files and authors are called in an edition: one line each, of bounded length; pure."""

import re

from tidings.archive.sentences import clean, shorten

NO_SUBJECT = "(no subject)"
"""The title of a thread without one, as it is stored; it is said in the reader's language."""
_NAME_LENGTH = 40
_TITLE_LENGTH = 120
_PREFIX = re.compile(r"(?:(?:re|aw|sv|antw|fwd?|wg|tr|rv)(?:\[\d+\])?\s*:|\[[^\]]{1,40}\])\s*", re.IGNORECASE)


def title(subject: str) -> str:
    """A thread's title: its subject without reply prefixes and list tags."""
    bare = clean(subject)
    while (found := _PREFIX.match(bare)) and found.end() < len(bare):
        bare = bare[found.end() :]
    return shorten(bare, _TITLE_LENGTH) or NO_SUBJECT


def file_name(name: str) -> str:
    """What an attachment is called."""
    return shorten(clean(name), _NAME_LENGTH) or "(no name)"


def author(name: str, email: str) -> str:
    """What an author is called; an address is not told whole."""
    return shorten(clean(name).replace("@", " at ") or clean(email).partition("@")[0] or "(unknown)", _NAME_LENGTH)
