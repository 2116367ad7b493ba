"""The languages that members are told in: which there are, how people call them, and which one a member reads.

It has no sentence of any of them (digests.words has), and is not about what members write in.
"""

import unicodedata
from functools import cache

from babel import Locale

from tidings.errors import UsageError

NAMES = {"en": "English", "de": "German", "es": "Spanish", "fr": "French"}
"""The languages by their codes (ISO 639-1), each with its English name."""

FALLBACK = "en"


def parse(text: str) -> str | None:
    """The code of a language by its code or its name in any of NAMES, accents or not; None for `none` and for nothing.

    Raises UsageError.
    """
    wanted = _folded(text)
    if wanted in ("", "none"):
        return None
    code = _spellings().get(wanted)
    if code is None:
        raise UsageError(f"{text!r} is no language that digests speak; write one of: {', '.join(NAMES)}, or none.")
    return code


def read_by(member_language: str | None, community_language: str) -> str:
    """The code of the language that a member is told in: their own, else their community's, else English."""
    if member_language in NAMES:
        return str(member_language)
    return next((code for code, name in NAMES.items() if name.lower() == community_language), FALLBACK)


@cache
def _spellings() -> dict[str, str]:
    names = {_folded(str(Locale(code).get_display_name(reader))): code for code in NAMES for reader in NAMES}
    return names | {code: code for code in NAMES}


def _folded(text: str) -> str:
    """In lower case and without accents."""
    return "".join(
        char for char in unicodedata.normalize("NFD", text.strip().casefold()) if not unicodedata.combining(char)
    )
