"""The bytes of a digest beside the usual text with HTML (compose.alternative): text alone, with posts, in RFC 1153.

It writes no text and chooses no posts. The same arguments give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence

from tidings.mailer import compose

_AFTER_PREAMBLE = "-" * 70
_BETWEEN = "-" * 30
_PREAMBLE_END = re.compile(r"^-(-{69})$", re.MULTILINE)


def text_alone(fields: Mapping[str, str], text: str, calendar: bytes | None = None) -> bytes:
    """A message of one text, and of the iCalendar object `calendar` as its other form.

    Raises ValueError as `compose.header_field` does, and with a calendar KeyError as `compose.alternative` does.
    """
    mime, body = _text(fields, text, calendar)
    return compose.joined([], (), [*fields.items(), ("MIME-Version", "1.0"), *mime], body)


def _text(fields: Mapping[str, str], text: str, calendar: bytes | None) -> compose.Encoded:
    part = compose.text_part(text, "plain")
    if not calendar:
        return part
    return compose.alternatives(f"{fields['Message-ID']} text", [part, compose.calendar_part(calendar)])


def with_posts(fields: Mapping[str, str], text: str, posts: Sequence[bytes], calendar: bytes | None = None) -> bytes:
    """A text, and the posts as a multipart/digest in a multipart/mixed (RFC 2046 5.1.5); without posts, text alone.

    A `calendar` stands beside the text, as in `text_alone`. A post must have CR LF line ends. Raises KeyError and
    ValueError as `compose.alternative` does.
    """
    if not posts:
        return text_alone(fields, text, calendar)
    mime, part = _text(fields, text, calendar)
    # Each kind of multipart says the widest of what is in it (RFC 2045 6.4); a message may have no other encoding.
    encoding = [("Content-Transfer-Encoding", "7bit" if all(map(bytes.isascii, posts)) else "8bit")]
    mails = [_part([("Content-Type", "message/rfc822"), _encoding(post)], post) for post in posts]
    digest_type, digest = _multipart("digest", f"{fields['Message-ID']} posts", mails)
    mixed_type, body = _multipart(
        "mixed", fields["Message-ID"], [_part(mime, part), _part([digest_type, *encoding], digest)]
    )
    return _part([*fields.items(), ("MIME-Version", "1.0"), mixed_type, *encoding], body)


def _encoding(post: bytes) -> tuple[str, str]:
    return "Content-Transfer-Encoding", "7bit" if post.isascii() else "8bit"


def _part(fields: Sequence[tuple[str, str]], body: bytes) -> bytes:
    return compose.joined([], (), fields, body)


def _multipart(subtype: str, seed: str, parts: Sequence[bytes]) -> tuple[tuple[str, str], bytes]:
    boundary = compose.boundary_of(seed)
    # The line end before a delimiter is the delimiter's own (RFC 2046 5.1.1).
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    content_type = ("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')
    return content_type, body + f"--{boundary}--\r\n".encode()


def in_words(
    fields: Mapping[str, str], text: str, posts: Sequence[str], name: str, calendar: bytes | None = None
) -> bytes:
    """A digest of plain text (RFC 1153): the text as its preamble, the posts, and the end of the digest called `name`.

    A `calendar` and what it raises are as in `text_alone`.
    """
    preamble = _PREAMBLE_END.sub(r" \1", text.strip("\n"))
    enclosed = "".join(f"{post}\n\n{_BETWEEN}\n\n" for post in posts)
    end = f"End of {name} Digest"
    words = f"{preamble}\n\n{_AFTER_PREAMBLE}\n\n{enclosed}{end}\n{'*' * len(end)}\n"
    return text_alone(fields, words, calendar)
