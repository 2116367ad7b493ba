"""What must hold of any message, however spoilt: it is read in time and gives what can be stored, shown and sent on."""

import time

from tidings.errors import MessageTooComplexError
from tidings.mailer import text
from tidings.mailer.extract import harmless
from tidings.mailer.parse import parse
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.pictures import with_pictures
from tidings.mailer.tolerant import read_message
from tidings.settings import LimitSettings

LIMITS = LimitSettings()
SECONDS = 2.0  # of CPU, for one message


def survive(raw: bytes) -> None:
    """Read a message in every way that the program has. Raises whatever a reader of ours does, or AssertionError."""
    began = time.process_time()
    try:
        _must_be_fit(parse(raw, LIMITS, bounce=True))
        message = read_message(raw)
        safe = "".join(map(harmless, text.html_sources(message)))
        with_pictures(safe, message, parts=LIMITS.parts, depth=LIMITS.depth).encode()
        for part in text.display(message).attachments:
            assert text.part_bytes(message, part.position) is not None
    except MessageTooComplexError:
        pass
    assert time.process_time() - began < SECONDS


def _must_be_fit(message: ParsedMessage) -> None:
    texts = [message.text, message.subject, message.author_name, message.author_email, message.recipients]
    texts += [name for _, name, _, _, _ in message.attachments]
    assert "\0" not in "".join(texts)
    "".join(texts).encode()
    ends = [0, *(place for start, end, _ in message.folds for place in (start, end)), len(message.text)]
    assert ends == sorted(ends)
