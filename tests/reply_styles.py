"""Makes replies to a digest as mail programs do: raw messages with quotes, headers and encodings of each program."""

import base64
import email
import email.policy
import html
import quopri
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.header import Header
from email.message import EmailMessage

from tests.mail_programs import Style
from tidings.mailer import html_text


@dataclass(frozen=True, kw_only=True)
class Digest:
    """The digest that is answered, as it came."""

    sender: str  # the address in From and Reply-To
    subject: str
    message_id: str
    text: str
    html: str

    @property
    def html_as_text(self) -> str:
        return html_text.to_text(self.html)


def read_digest(raw: bytes) -> Digest:
    made = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(made, EmailMessage)
    plain, rich = made.get_body(("plain",)), made.get_body(("html",))
    assert plain is not None
    assert rich is not None
    return Digest(
        sender=made["From"].addresses[0].addr_spec,
        subject=made["Subject"],
        message_id=made["Message-ID"],
        text=plain.get_content().replace("\r\n", "\n"),
        html=rich.get_content().replace("\r\n", "\n"),
    )


# --- a message -------------------------------------------------------------------------------------------------------


def reply(
    style: Style, digest: Digest, own: str, *, to: str = "", inside: int = 0, message_id: str = "r@example.org"
) -> bytes:
    """The reply `own` to a digest; it stands below the quote of the item `inside`, where that is given."""
    if inside:
        own_text, own_rich = "", ""
    else:
        own_text, own_rich = own, html.escape(own).replace("\n", "<br>")
    said = {"sender": digest.sender, "subject": digest.subject, "message_id": digest.message_id}
    above, below = style.above.format(**said), style.signed + style.below
    quote = _quote(style, digest, own if inside else "", inside)
    if style.bottom:
        text = f"{above}{quote}\n\n{own_text}{below}\n" if own_text else f"{above}{quote}{below}\n"
    else:
        text = f"{own_text}{below}{above}{quote}\n"
    rich = _rich(style, digest, own, inside, own_rich, said)
    return _message(style, digest, text, rich, to or digest.sender, message_id)


def _quote(style: Style, digest: Digest, own: str, inside: int) -> str:
    lines = (digest.text if style.quotes == "text" else digest.html_as_text).rstrip("\n").split("\n")
    if style.bullet == "outlook":
        lines = [
            re.sub(r"^  \* ", "  *   ", re.sub(r"^(Reply to #\d+)$", r"\1 <mailto:pump+r.x@lists.example.org>", line))
            for line in lines
        ]
    end = _end_of(lines, inside) if inside else len(lines)
    marked = [*_marked(style, lines[:end]), *(["", *own.split("\n"), ""] if inside else [])]
    return "\n".join([*marked, *_marked(style, lines[end:])])


def item_of(digest: Digest, item: int) -> Digest:
    """The digest as who selected one item sees it quoted: some programs quote what is selected."""
    text, rich = digest.text.split("\n"), digest.html_as_text.split("\n")
    lines = rich[_begin_of(rich, item) : _end_of(rich, item)]
    return replace(
        digest,
        text="\n".join(text[_begin_of(text, item) : _end_of(text, item)]),
        html="".join(f"<p>{html.escape(line)}</p>" for line in lines if line.strip()),
    )


def _begin_of(lines: list[str], item: int) -> int:
    return next(at for at, line in enumerate(lines) if re.match(rf"[ *]*#{item} ", line))


def _end_of(lines: list[str], item: int) -> int:
    """Where the lines of an item end: its reply address, or what the button says."""
    begin = _begin_of(lines, item)
    return next(at for at in range(begin, len(lines)) if re.match(r" *[Rr]eply(?::| to #)", lines[at])) + 1


def _marked(style: Style, lines: list[str]) -> list[str]:
    found = []
    for line in lines:
        pieces = textwrap.wrap(line, style.width, break_long_words=False) if style.width else [line]
        for number, piece in enumerate(pieces or [""]):
            mark = "" if style.rests and number else style.mark
            found.append((mark + piece).rstrip() if mark.strip() else mark + piece)
    return found


def _rich(style: Style, digest: Digest, own: str, inside: int, own_rich: str, said: Mapping[str, str]) -> str:
    if not style.rich:
        return ""
    quoted = digest.html
    if inside:
        end = quoted.index("</a>", quoted.index(f"Reply to #{inside}")) + len("</a>")
        quoted = f"{quoted[:end]}<div>{html.escape(own)}</div>{quoted[end:]}"
    values = {"own": own_rich, "quote": quoted, **said}
    return re.sub(r"\{(own|quote|sender|subject)\}", lambda found: values[found[1]], style.rich)


def _message(style: Style, digest: Digest, text: str, rich: str, to: str, message_id: str) -> bytes:
    fields = {
        "From": "Sam Okafor <sam@example.org>",
        "To": f"Pump team weekly <{to}>",
        "Subject": str(Header(style.prefix + digest.subject, "utf-8" if not digest.subject.isascii() else None)),
        "Date": "Mon, 19 Oct 2026 08:30:00 +0200",
        "Message-ID": f"<{message_id}>",
        "MIME-Version": "1.0",
    }
    if style.names_digest:
        fields |= {"In-Reply-To": digest.message_id, "References": digest.message_id}
    fields |= {name: value.format(message_id=digest.message_id) for name, value in style.fields.items()}
    plain = _part(style, "plain", text, style.parameters)
    if not rich:
        body = plain
    elif not style.plain:
        body = _part(style, "html", rich)
    else:
        between = "000000000000a1b2c3"
        parts = b"".join(
            b"--" + between.encode() + b"\r\n" + part + b"\r\n" for part in (plain, _part(style, "html", rich))
        )
        head = f'Content-Type: multipart/alternative; boundary="{between}"\r\n\r\n'.encode()
        body = head + parts + f"--{between}--\r\n".encode()
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + body


def _part(style: Style, kind: str, text: str, parameters: str = "") -> bytes:
    charset = style.charset
    if not _fits(text, charset):
        charset = "utf-8"
    data = text.replace("\n", "\r\n").encode(charset)
    encoding = style.encoding if style.encoding != "7bit" or data.isascii() else "8bit"
    head = (
        f'Content-Type: text/{kind}; charset="{charset}"{parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    )
    if encoding == "base64":
        data = base64.encodebytes(data).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return head.encode() + data + b"\r\n"


def _fits(text: str, charset: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True
