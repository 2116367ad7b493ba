"""The system programs that some tests need, and where Debian puts them."""

import shutil
from pathlib import Path

_PLACES = {
    "chromium": ("chromium",),
    "dovecot": ("dovecot", "/usr/sbin/dovecot"),
    "postfix": ("postfix", "/usr/sbin/postfix"),
    "postgres": ("postgres", *sorted(str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/postgres"))),
    "strace": ("strace",),
}


def program(name: str) -> str | None:
    """The path of a program, or None where it is not installed."""
    return next((found for place in _PLACES[name] if (found := shutil.which(place))), None)


def missing_programs(*names: str) -> list[str]:
    """Which of `names` are not installed."""
    return [name for name in names if program(name) is None]
