"""Cuts our own links and addresses with a token out of a text in which somebody quoted or forwarded our mail.

It goes by their forms alone, so those of another site that runs Tidings are cut too; whether a token is good is not
asked. The raw bytes of the message stay as they came.
"""

import binascii
import re

LINK, ADDRESS = "[link removed]", "[address removed]"

# A program that wraps lines may break one in the middle of the token, and quote the rest; quoted-printable leaves `=`.
_BREAK = r"(?:=?\r?\n[ \t>|]{0,12})?"


def _token(length: int) -> str:
    return rf"(?:{_BREAK}[a-z2-7]){{{length}}}(?![a-z0-9])"


# As tokens.py makes them: 24 characters for /u/, 34 for +r., 29 for +b., 26 for what is random. A link in another
# link (as gateways that check links make them) has its slashes and plus encoded, perhaps more than once.
_OURS = re.compile(
    r"(?:[/%](?:(?<=u.)(?<![a-z0-9]u.)|(?<=2fu.)|(?<=back.)|(?<=sign-in.))(?:(?<=/)|(?:25){0,4}2f)"
    rf"(?:{_token(24)}|{_token(26)})"
    r"|(?P<dot>\.)(?:(?<=[rb].)(?<![a-z0-9][rb].)|(?<=2b[rb].)|(?<=confirm.))"
    rf"(?:{_token(34)}|{_token(29)}|{_token(26)}))",
    re.IGNORECASE | re.ASCII,
)
_WORD = re.compile(r"[!#-&*-;=?-Z\\^-z~]+")  # what a link is written with, without quotes and brackets


# Lines on end of a base64 body (RFC 2045 6.8), of which the last may be shorter.
_BASE64 = re.compile(rb"(?:^[A-Za-z0-9+/]{40,76}+\r?+\n)++(?:[A-Za-z0-9+/]{1,76}+={0,2}+\r?+$)?+", re.MULTILINE)


def in_mail(raw: bytes) -> bool:
    """Whether a message has such a link or address, in plain, quoted-printable or base64 text, wherever in it.

    It parses nothing: what is base64 is looked at decoded, since chance writes tokens into the letters of a picture.
    """
    decoded = b"".join(map(_decoded, _BASE64.findall(raw)))
    return any(_OURS.search(data.decode("latin-1")) for data in (_BASE64.sub(b"\n", raw), decoded))


def _decoded(lines: bytes) -> bytes:
    letters = lines.translate(None, b"\r\n=")
    letters = letters[:-1] if len(letters) % 4 == 1 else letters  # cut off
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def without_tokens(text: str) -> str:
    """The text with each such link or address replaced by a few plain words that say so."""
    if not _OURS.search(text):
        return text
    return _WORD.sub(_said, _OURS.sub(_unbroken, text))


def _unbroken(found: re.Match[str]) -> str:
    return re.sub(r"[\s>|]|=\r?\n", "", found[0])


def _said(word: re.Match[str]) -> str:
    found = _OURS.search(word[0])
    if found is None:
        return word[0]
    return ADDRESS if found["dot"] else LINK
