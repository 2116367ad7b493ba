"""What the header fields of a MIME part say of it: its type, whether it is to be shown, and a name that is safe.

The first field of a name counts, and of it the first 4 kB. Which parts are shown is not its matter.
"""

import mimetypes
import re
import unicodedata
from email.message import Message

from tidings.mailer.charsets import decode, decode_header_text, readable

_FIELD_MOST = 4096  # characters of a Content-Type or Content-Disposition that are looked at
NAME_MOST = 200
_TYPE = re.compile(r"\s{0,80}([!-.0-:<-~]{1,100}/[!-.0-:<-~]{1,100})(?=\s|;|$)")
_TYPES = mimetypes.MimeTypes()  # the built-in ones: the same on every machine
_READ_BY_DEFAULT = ("text/", "message/")
_FILE_NAME = re.compile(r"[^/\\:?#]{1,200}\.[A-Za-z0-9]{1,10}")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # names that Windows keeps for devices


def parameter(part: Message, name: str, field: str = "content-type") -> str:
    """A parameter of a structured field, its RFC 2231 pieces joined and decoded; empty where there is none."""
    value = field_value(part, field)
    if name not in value.lower():
        return ""
    head = Message()
    head[field] = readable(value)
    try:
        found = head.get_param(name, "", header=field)
    except TypeError:  # Python's own: pieces with and without a number
        return ""
    if isinstance(found, tuple):  # RFC 2231: charset, language, and the bytes as latin-1
        return decode(found[2].encode("latin-1", "replace"), found[0] or "utf-8")
    return str(found)


def field_value(part: Message, name: str) -> str:
    """The first field of that name as it stands, or nothing."""
    for key, value in part.raw_items():
        if key.lower() == name:
            return str(value)[:_FIELD_MOST]
    return ""


def content_type(part: Message) -> str:
    """The type in lower case; where none is named that can be one, by a name alone, or what it is by default."""
    value = field_value(part, "content-type")
    if kind := _TYPE.match(value):
        return kind[1].lower()
    by_name = _TYPES.guess_type(parameter(part, "name"))[0] if value.lstrip().startswith(";") else None
    # RFC 2045 5.2, RFC 2046 5.1.5. Of a text the name says no more than the default does.
    return by_name if by_name and not by_name.startswith(_READ_BY_DEFAULT) else part.get_default_type()


def disposition(part: Message) -> str:
    """`inline`, `attachment` or whatever else is said (RFC 2183), in lower case; empty where nothing is."""
    return field_value(part, "content-disposition").partition(";")[0].strip().lower()


def filename(part: Message) -> str:
    """The safe name of the file that a part is, without its folders; empty where it has none."""
    name = parameter(part, "filename", "content-disposition") or parameter(part, "name")
    return safe_name(re.split(r"[/\\]", decode_header_text(name).rstrip("/\\"))[-1])


def location_name(part: Message) -> str:
    """The safe name of the file that a part is by its Content-Location (RFC 2557), empty where that is no bare name."""
    location = decode_header_text(field_value(part, "content-location"))
    return safe_name(location) if _FILE_NAME.fullmatch(location) else ""


def safe_name(name: str) -> str:
    """A name that is safe to show and to save under: no path, no control or direction characters, not too long."""
    kept = "".join(" " if char in '/\\:*?"<>|' else char for char in name if unicodedata.category(char)[0] not in "C")
    kept = " ".join(kept.split()).strip(". ")
    if _DEVICE.match(kept):
        kept = f"_{kept}"
    stem, dot, ending = kept.rpartition(".")
    if len(kept) > NAME_MOST and dot and len(ending) <= 10:
        return stem[: NAME_MOST - len(ending) - 1] + dot + ending
    return kept[:NAME_MOST]
