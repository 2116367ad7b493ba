"""Header fields that a list's archive wrote for people to read, read back as the addresses and ids that they were.

Pipermail (Mailman 2) and HyperKitty (Mailman 3) write a header of their own over each message of what they export, and
`ana at example.org` in it. An address is read out of that only where the whole header is one of theirs: anywhere else
such words are words. It knows no bytes and changes none.
"""

import re
from collections.abc import Mapping, Sequence

# Pipermail writes the word in the language of the list: English and German, Spanish, Italian, Portuguese.
_AT = "(?:at|en|a|em)"
_ADDRESS = rf"([^\s@<>()\"]{{1,64}}) {_AT} ([^\s@<>()\"]{{1,255}})"
_PIPERMAIL_FROM = re.compile(rf"{_ADDRESS} \((.{{0,1000}})\)")
_HYPERKITTY_FROM = re.compile(rf"(?:([^<>]{{1,1000}}) <{_ADDRESS}>|{_ADDRESS})")
_HYPERKITTY_TO = re.compile(_ADDRESS)
_BARE_ID = re.compile(r"[!-;=?-~]{1,998}")

_PIPERMAIL = ("from", "date", "subject", "in-reply-to", "references", "message-id")
_HYPERKITTY = ("from", "to", "subject", "date", "message-id", "in-reply-to")
_MIME = frozenset({"mime-version", "content-type", "content-transfer-encoding"})
_OPTIONAL = frozenset({"in-reply-to", "references", "message-id"})

READ = frozenset({"from", "to", "in-reply-to", "content-type"})
"""The fields whose values are looked at here; of others the names are."""

Fields = Mapping[str, Sequence[str]]
"""The values of each field by its lower-case name, in the order in which the names first stand."""


def is_pipermail(fields: Fields) -> bool:
    """Whether these are the fields of a Mailman 2 month file, all of them and in its order (pipermail's as_text)."""
    wanted = [name for name in _PIPERMAIL if name in fields or name not in _OPTIONAL]
    return list(fields) == wanted and _once(fields) and " (" in fields["from"][0]


def is_hyperkitty(fields: Fields) -> bool:
    """Whether these are the fields of a HyperKitty export, all of them and in its order (its Email.as_message)."""
    wanted = [name for name in _HYPERKITTY if name in fields or name != "in-reply-to"]
    if [name for name in fields if name not in _MIME] != wanted:
        return False
    return _once(fields) and "multipart/mixed" in next(iter(fields.get("content-type", ())), "").lower()


def restored(fields: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """The fields with the addresses that one of these programs obscured, and the ids whose brackets it took, put right.

    Fields of any other making are given back as they are.
    """
    if is_pipermail(fields):
        return {**fields, **_from_pipermail(fields)}
    if is_hyperkitty(fields):
        return {**fields, **_from_hyperkitty(fields)}
    return fields


def _once(fields: Fields) -> bool:
    return all(len(values) == 1 for values in fields.values())


def _from_pipermail(fields: Fields) -> dict[str, list[str]]:
    found = _PIPERMAIL_FROM.fullmatch(fields["from"][0].strip())
    return {"from": [_mailbox(found[3], f"{found[1]}@{found[2]}")]} if found else {}


def _from_hyperkitty(fields: Fields) -> dict[str, list[str]]:
    made = {}
    if found := _HYPERKITTY_FROM.fullmatch(fields["from"][0].strip()):
        name, *parts = found.groups()
        local, host = (part for part in parts if part)
        made["from"] = [_mailbox(name or "", f"{local}@{host}")]
    if found := _HYPERKITTY_TO.fullmatch(fields["to"][0].strip()):
        made["to"] = [f"{found[1]}@{found[2]}"]
    # It keeps the ids of parents without their brackets, and writes them so.
    answered = next(iter(fields.get("in-reply-to", ())), "").strip()
    if _BARE_ID.fullmatch(answered) and "@" in answered:
        made["in-reply-to"] = [f"<{answered}>"]
    return made


def _mailbox(name: str, address: str) -> str:
    """RFC 5322 3.4, with the name in quotes; a name that is the obscured address once more is none."""
    name = name.replace("\\", "").replace('"', "").strip()
    return f'"{name}" <{address}>' if name and not _HYPERKITTY_TO.fullmatch(name) else address
