"""Bytes of mail to text: charsets by a list of those allowed, and encoded words in header fields.

It never raises and never runs a codec that is not for text, and its time is linear. Structure is not its matter.
"""

import binascii
import codecs
import re
from email.header import Header, decode_header

from tidings.mailer.tolerant import from_base64

_FIELD_MOST = 4096  # characters of a header field that are decoded

# By the names that Python gives its codecs. Not among them: punycode, idna, escapes, rot13, zlib, base64.
_ALLOWED = frozenset(
    ["ascii", "utf-7", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le"]
    + ["koi8-r", "koi8-u", "koi8-t", "ptcp154", "tis-620", "mac-roman", "mac-cyrillic", "mac-greek", "mac-latin2"]
    + ["gb2312", "gbk", "gb18030", "hz", "big5", "big5hkscs", "cp950", "shift_jis", "shift_jis_2004", "shift_jisx0213"]
    + ["cp932", "cp949", "euc_kr", "johab", "euc_jp", "euc_jis_2004", "euc_jisx0213", "iso2022_kr"]
    + ["iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_3", "iso2022_jp_ext"]
    + [f"iso8859-{number}" for number in range(1, 17)]
    + [f"cp{number}" for number in (437, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 865, 866, 869, 874)]
    + [f"cp{number}" for number in range(1250, 1259)]
)
# What mail means by a name where it is more than what the name stands for (as the WHATWG Encoding Standard has it).
_MEANT = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_ALIASES = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "ks_c_5601-1987": "cp949",
    "iso-2022-jp-ms": "iso2022_jp",
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "x-mac-cyrillic": "mac-cyrillic",
    "macintosh": "mac-roman",
}
_NUMBERED = re.compile(r"(?:x-)?(?:windows|cp|ms)[-_]?(\d{3,4})")
_JAPANESE = frozenset(["iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_3", "iso2022_jp_ext"])
_JAPANESE_SHIFT = re.compile(rb"\x1b(\$[@B]|\([BJI])")
_MULTIBYTE = frozenset(["gb18030", "big5", "big5hkscs", "cp950", "cp932", "cp949", "euc_jp", "johab"])
_HIGH = bytes(byte | 0x80 if 0x21 <= byte <= 0x7E else byte for byte in range(256))
_ASCII = bytes(range(128))
_REPLACED = "\ufffd".encode()  # what programs write for what they could not read: right UTF-8 all the same
_NO_CHANCE = 12  # so many 8-bit bytes of another charset are not UTF-8 by accident
# In none of these does text of its own look like UTF-8: a capital with an accent is not followed by signs.
_WESTERN = frozenset(["cp1252", "cp1250", "cp1254", "iso8859-2", "iso8859-15"])
_NAME = re.compile(r"[a-z0-9][a-z0-9_.:+-]{0,39}")
# RFC 2047 2, with the language of RFC 2231 5; spaces and question marks inside are wrong but common.
_ENCODED_WORD = re.compile(r"=\?([!-)+->@-~]{1,40})(?:\*[!->@-~]{0,20})?\?([bBqQ])\?((?:[^?\r\n]|\?(?!=)){0,1000})\?=")
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def decode(data: bytes, charset: str) -> str:
    """The text of `data` by its charset; where that is unknown, not allowed or plainly wrong, UTF-8 or windows-1252."""
    codec = _codec(charset)
    # RFC 2152 has 7-bit text only. It is read where it is declared, and never guessed at.
    if codec in ("", "ascii", "utf-8") or (codec == "utf-7" and not data.isascii()):
        return _guessed(data)
    try:
        text = data.decode(codec, "replace")
    except (LookupError, ValueError):  # UTF-16 of odd length and the like
        return _guessed(data)
    if not data.isascii() and not codec.startswith("utf"):
        return _utf8_after_all(data, codec, text)
    return _japanese(data) if "\ufffd" in text and codec in _JAPANESE else text


def decode_header_text(value: object) -> str:
    """A field's value (a str, maybe with surrogates for 8-bit bytes, or compat32's Header) as one readable line.

    Encoded words are decoded as far as they can be, white space is collapsed, control characters are dropped. Of long
    values the first 4 kB count.
    """
    text = _header_source(value)[:_FIELD_MOST]
    return " ".join(_without_controls(_decoded_words(_FOLD.sub("", readable(text)))).split())


def readable(value: str) -> str:
    """A header value whose 8-bit bytes stand as surrogates, those read as UTF-8 or else as windows-1252."""
    return value if value.isascii() else _guessed(value.encode("utf-8", "surrogateescape"))


def multibyte(charset: str) -> bool:
    """Whether this is a charset of China, Japan or Korea."""
    return _codec(charset) in _MULTIBYTE


def clean(text: str) -> str:
    """A text without what storage and terminals trip over (NUL, other controls, lone surrogates), line ends LF."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    text = text.encode("utf-8", "ignore").decode("utf-8")
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROLS)


_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])


def _without_controls(text: str) -> str:
    return clean(text.replace("\n", " "))


def _codec(charset: str) -> str:
    """Python's name of the codec to use for a charset; empty where it is unknown or not allowed."""
    name = charset.strip("\"' \t").lower()
    if not _NAME.fullmatch(name):
        return ""
    name = _ALIASES.get(name, name)
    if numbered := _NUMBERED.fullmatch(name):
        name = f"cp{numbered[1]}"
    for known in (name, name.removeprefix("x-")):  # x-gbk, x-euc-jp: what had no name of its own at the time
        try:
            codec = codecs.lookup(known).name
        except (LookupError, ValueError):
            continue
        return _MEANT.get(codec, codec) if codec in _ALLOWED else ""
    return ""


def _guessed(data: bytes) -> str:
    """Bytes of unknown charset: UTF-8 unless they are more often wrong than right as that."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd") - data.count(_REPLACED)
    if wrong and 2 * wrong > len(text) - sum(map(str.isascii, text)):
        return data.decode("windows-1252", "replace")
    return text


def _utf8_after_all(data: bytes, codec: str, text: str) -> str:
    """The text, but for bytes that are UTF-8 and cannot well be what they are said to be."""
    sure = codec in _WESTERN or "\ufffd" in text or len(data.translate(None, _ASCII)) >= _NO_CHANCE
    try:
        return data.decode("utf-8") if sure else text
    except UnicodeDecodeError:
        return text


def _japanese(data: bytes) -> str:
    """ISO-2022-JP as it is written in fact: with half-width katakana and vendors' signs, which RFC 1468 has not."""
    pieces = []
    shift = b"(B"
    for number, piece in enumerate(_JAPANESE_SHIFT.split(data)):
        if number % 2:
            shift = piece
        elif shift.startswith(b"$"):
            pieces.append(piece.translate(_HIGH).decode("euc_jisx0213", "replace"))
        else:
            pieces.append((piece.translate(_HIGH) if shift == b"(I" else piece).decode("cp932", "replace"))
    return "".join(pieces)


def _header_source(value: object) -> str:
    if not isinstance(value, Header):
        return str(value)
    pieces = [piece if isinstance(piece, bytes) else piece.encode() for piece, _ in decode_header(value)]
    return b" ".join(pieces).decode("ascii", "surrogateescape")


def _decoded_words(text: str) -> str:
    """The text with its encoded words decoded; neighbours are joined first, since a character may be cut in two."""
    pieces: list[str] = []
    held, held_charset, end = b"", "", 0
    for found in _ENCODED_WORD.finditer(text):
        between = text[end : found.start()]
        charset = found[1].lower()
        if held_charset and (charset != held_charset or between.strip()):
            pieces.append(decode(held, held_charset))
            held = b""
        if not held_charset or between.strip():  # RFC 2047 6.2: white space between two words is none
            pieces.append(between)
        held, held_charset, end = held + _word_bytes(found[2], found[3]), charset, found.end()
    return "".join([*pieces, decode(held, held_charset), text[end:]])


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return binascii.a2b_qp(data, header=True)
    return from_base64(data)
