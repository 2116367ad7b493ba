"""Which program kept a message before its import, by the shape of its bytes, and what of a mailbox is no list mail.

It changes nothing: what a program did to addresses is undone where mail is parsed, and what it did to an mbox where
that is read.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal

from tidings.archive.mbox import Entry
from tidings.mailer import archivers
from tidings.mailer.charsets import decode_header_text

Origin = Literal[
    "mbox",  # or of a program that leaves no trace
    "message",  # a file of its own: .eml, Maildir
    "mailman-text",  # a month file of Mailman 2
    "mailman",
    "hyperkitty",
    "public-inbox",
    "gmail",
    "google-groups",
    "mozilla",
]

_HEADER_MOST = 1 << 18  # bytes; the parser holds what has more
_VALUE_MOST = 4096  # characters of a field that are looked at
_FIELD = re.compile(rb"\n([!-9;-~]{1,200})[ \t]*:")  # `^` instead of the line end takes twice as long
_EXPUNGED = 0x0008  # of X-Mozilla-Status: deleted, and there until its folder is compacted
_BETWEEN_ADDRESSES = re.compile(r"[\s<>,;:\"()]+")
_NAMES_A_LIST = ("list-id", "list-post", "mailing-list", "x-beenthere", "x-mailing-list", "to", "cc")
_NO_LIST_MAIL: Mapping[str, tuple[str, ...]] = {
    # Takeout writes Gmail's own labels in the language of the account.
    "spam": ("spam",),
    "trash": ("trash", "bin", "papierkorb", "corbeille", "papelera", "cestino", "lixeira", "prullenbak"),
    "a draft": ("draft", "drafts", "entwürfe", "brouillons", "borradores", "bozze", "rascunhos", "concepten"),
    "a chat": ("chat", "chats"),
}


class Fields(Mapping[str, list[str]]):
    """The header fields by lower-case name, unfolded, in the order in which the names first stand.

    As they were written, what a program obscured too. Values are read when one is asked for: of most messages none is.
    """

    def __init__(self, raw: bytes) -> None:
        ends = [at for at in (raw.find(b"\n\n", 0, _HEADER_MOST), raw.find(b"\n\r\n", 0, _HEADER_MOST)) if at >= 0]
        self._header = b"\n" + raw[: min(ends, default=_HEADER_MOST)]
        self._names = dict.fromkeys(name.decode().lower() for name in _FIELD.findall(self._header))

    def __getitem__(self, name: str) -> list[str]:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    @cached_property
    def _values(self) -> dict[str, list[str]]:
        starts = list(_FIELD.finditer(self._header))
        found: dict[str, list[str]] = {}
        for match, end in zip(starts, [*(later.start() for later in starts[1:]), len(self._header)], strict=True):
            value = self._header[match.end() : min(end, match.end() + _VALUE_MOST)].decode("utf-8", "replace")
            found.setdefault(match[1].decode().lower(), []).append(" ".join(value.split()))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def origin(entry: Entry, fields: Fields) -> Origin:
    """What kept the message: what only one program writes counts first."""
    if "x-gm-thrid" in fields or "x-gmail-labels" in fields:
        return "google-groups" if "x-google-groups" in fields else "gmail"
    if (entry.from_line or b"").startswith(b"From mboxrd@z "):
        return "public-inbox"
    if archivers.is_pipermail(fields):
        return "mailman-text"
    if archivers.is_hyperkitty(fields):
        return "hyperkitty"
    if "x-mozilla-status" in fields:
        return "mozilla"
    if entry.from_line is None:
        return "message"
    return "mailman" if "x-mailman-version" in fields else "mbox"


def refusal(found: Origin, fields: Fields, wanted: str, *, chosen: bool) -> str:
    """Why a message is no list mail; empty where nothing says so.

    `wanted` is the list's address. Only what names it is taken where somebody chose it, and out of a mailbox of Gmail
    in any case: that holds a person's other mail too.
    """
    if found == "gmail" and (kind := _kept_as(_labels(fields))):
        return f"It is {kind} in Gmail, and no list mail."
    if found == "mozilla" and _status(fields) & _EXPUNGED:
        return "It was deleted in the mail program that kept it."
    if (chosen or found == "gmail") and not _names(fields, wanted):
        return f"It does not name {wanted}; --list ADDRESS says which list's mail is wanted."
    return ""


def _labels(fields: Fields) -> Iterable[str]:
    value = decode_header_text(", ".join(fields.get("x-gmail-labels", [])))
    return [label.strip().lower() for label in next(csv.reader([value], skipinitialspace=True), [])]


def _kept_as(labels: Iterable[str]) -> str:
    found = set(labels)
    return next((kind for kind, names in _NO_LIST_MAIL.items() if found.intersection(names)), "")


def _status(fields: Fields) -> int:
    try:
        return int(fields["x-mozilla-status"][0], 16)
    except ValueError:
        return 0


def _names(fields: Fields, address: str) -> bool:
    """Whether one of the fields that name a list, or whom mail is for, has this address; List-Id has dots alone."""
    wanted = {address.lower(), address.lower().replace("@", ".")}
    restored = archivers.restored(fields)
    values = [value.lower() for name in _NAMES_A_LIST for value in restored.get(name, [])]
    return any(not wanted.isdisjoint(_BETWEEN_ADDRESSES.split(value)) for value in values)
