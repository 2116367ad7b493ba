"""Writes the pages and catalogs made from the code; `make docs` runs it, and a test tells when that was forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

from docs import catalogs
from tidings.mailer import reply_codes
from tidings.settings import example, keys, tables

ROOT = Path(__file__).parent.parent

_SETTINGS = """# Settings

One TOML file holds them. `-c FILE` or the variable `TIDINGS_CONFIG` names it; without either it is `tidings.toml` in
the working folder. `tidings init` writes one, and `tidings config example` prints one with every key.

Every key may be left out, and its default holds. A key that Tidings does not know is refused, with the nearest one
that it does. A change is taken up at the next start.

This page is made by `make docs` from the docs beside each key in
[tidings/settings.py](../tidings/settings.py).
"""

_REPLIES = """# What the SMTP listener answers

A 250 after the message means that its raw bytes and its envelope are on the disk, fsynced. A 4xx means: nothing was
taken, try again. A 5xx means: nothing was taken, and trying again will not help. What a reply cannot judge (a sender
who may not post, a stranger's answer to a digest) is decided later and shown by `tidings why` and `tidings hold`.

This page is made by `make docs` from
[tidings/mailer/reply_codes.py](../tidings/mailer/reply_codes.py); the numbers are those of RFC 5321 4.2, the codes
with dots those of RFC 3463.

| reply | text | name in the code |
|---|---|---|
"""


def settings_page() -> str:
    """The text of docs/settings.md: every key, its default and what it does, a section for each table of the file."""
    return _SETTINGS + "".join(_settings_sections())


def _settings_sections() -> Iterator[str]:
    for name, table in tables().items():
        yield f"\n## {table.heading}\n\n{table.kind.__doc__}\n\n| key | default | what it does |\n|---|---|---|\n"
        for key in keys():
            if key.table == name:
                yield f"| `{key.name}` | `{json.dumps(key.default)}` | {key.doc} |\n"


def replies_page() -> str:
    """The text of docs/replies.md: every reply that has a name."""
    named = {name: reply for name, reply in vars(reply_codes).items() if name.isupper() and isinstance(reply, str)}
    return _REPLIES + "".join(_reply_row(name, reply) for name, reply in named.items())


def _reply_row(name: str, reply: str) -> str:
    number, code, text = reply.split(" ", 2)
    return f"| {number} {code} | {text} | `{name}` |\n"


def pages() -> dict[Path, str]:
    """Every page that is made from the code, with its text."""
    return {
        ROOT / "config.example.toml": example(),
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "replies.md": replies_page(),
        **{catalogs.path(language): catalogs.page(language) for language in catalogs.TRANSLATED},
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
