"""Replies to a digest as mail programs make them: raw messages with the habits of each, quotes, headers and encodings.

Made after what the programs are seen to do; the words are made up. Each style says what stands above the quote, how
quoted lines are marked, where the answer goes, and what the header has.
"""

import base64
import email
import email.policy
import html
import quopri
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.header import Header
from email.message import EmailMessage

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


@dataclass(frozen=True, kw_only=True)
class Style:
    """The habits of a program. In `above` and `below` {sender}, {subject} and {name} are those of the digest."""

    above: str  # stands between the answer and the quote
    mark: str = "> "
    quotes: str = "html"  # the part of the digest that it quotes
    width: int = 0  # it wraps quoted lines there; 0: it does not
    rests: bool = False  # the rest of a wrapped line has no mark
    bottom: bool = False  # answers below the quote
    below: str = ""  # a signature, or what the program says of itself
    signed: str = ""  # words of the sender that the program puts below an answer
    prefix: str = "Re: "
    charset: str = "utf-8"
    encoding: str = "quoted-printable"
    parameters: str = ""  # of text/plain
    rich: str = ""  # the HTML around {own} and {quote}; empty: it sends plain text alone
    plain: bool = True  # sends a text part
    fields: Mapping[str, str] = field(default_factory=dict)
    names_digest: bool = True  # In-Reply-To and References
    bullet: str = ""  # what it makes of the links in what it quotes: "outlook"


_WEEKLY = "Pump team weekly <{sender}>"
_OUTLOOK_RICH = (
    '<html xmlns:o="urn:schemas-microsoft-com:office:office"><body lang=EN-GB><div class=WordSection1>'
    "<p class=MsoNormal>{own}<o:p></o:p></p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt'>"
    "<p class=MsoNormal><b>From:</b> Pump team weekly</p></div></div>{quote}</div></body></html>"
)
_OUTLOOK_BLOCK = (
    f"\n\n\nFrom: {_WEEKLY}\nSent: Monday, October 19, 2026 8:00 AM\n"
    "To: Sam <sam@example.org>\nSubject: {subject}\n\n"
)
_GMAIL_RICH = (
    '<div dir="ltr">{own}</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">'
    'On Mon, Oct 19, 2026 at 8:00 AM wrote:<br></div><blockquote class="gmail_quote">{quote}</blockquote></div>'
)

STYLES: dict[str, Style] = {
    "Gmail": Style(
        above=f"\n\nOn Mon, Oct 19, 2026 at 8:00 AM {_WEEKLY}\nwrote:\n\n", width=74, charset="UTF-8", rich=_GMAIL_RICH
    ),
    "Gmail in German": Style(
        above=f"\n\nAm Mo., 19. Okt. 2026 um 08:00 Uhr schrieb {_WEEKLY}:\n\n", width=74, rich=_GMAIL_RICH
    ),
    "Gmail on a phone": Style(
        above="\n\nOn Mon, 19 Oct 2026, 08:00 Pump team weekly, <\n{sender}> wrote:\n\n",
        width=74,
        encoding="base64",
        rich=_GMAIL_RICH,
    ),
    "Outlook": Style(
        above=_OUTLOOK_BLOCK,
        mark="",
        prefix="RE: ",
        charset="us-ascii",
        rich=_OUTLOOK_RICH,
        bullet="outlook",
        fields={"Thread-Topic": "Pump team weekly", "Thread-Index": "AQHcP0mVn3xkq0u0fU6c0Xg9mJ2b6w=="},
    ),
    "Outlook in German": Style(
        above=f"\n\nVon: {_WEEKLY}\nGesendet: Montag, 19. Oktober 2026 08:00\nAn: Sam <sam@example.org>\n"
        "Betreff: {subject}\n\n",
        mark="",
        signed="\nMit freundlichen Grüßen\nSam",
        prefix="AW: ",
        charset="iso-8859-1",
        rich=_OUTLOOK_RICH,
        bullet="outlook",
    ),
    "Outlook in Swedish": Style(
        above=f"\n\nFrån: {_WEEKLY}\nSkickat: den 19 oktober 2026 08:00\nTill: Sam <sam@example.org>\n"
        "Ämne: {subject}\n\n",
        mark="",
        prefix="SV: ",
        charset="windows-1252",
        rich=_OUTLOOK_RICH,
        bullet="outlook",
    ),
    "Outlook on the web": Style(
        above=f"\n________________________________{_OUTLOOK_BLOCK[2:]}",
        mark="",
        charset="iso-8859-1",
        rich=_OUTLOOK_RICH,
        bullet="outlook",
    ),
    "Outlook on a phone": Style(
        above=f"\n\nGet Outlook for iOS<https://aka.ms/o0ukef>\n________________________________{_OUTLOOK_BLOCK[2:]}",
        mark="",
        encoding="base64",
        rich=_OUTLOOK_RICH,
        bullet="outlook",
        names_digest=False,
    ),
    "Outlook in plain text": Style(
        above=f"\n\n-----Original Message-----{_OUTLOOK_BLOCK[2:]}",
        mark="",
        quotes="text",
        charset="us-ascii",
        encoding="7bit",
    ),
    "Apple Mail": Style(
        above=f"\n\n> On 19 Oct 2026, at 08:00, {_WEEKLY} wrote:\n> \n",
        charset="us-ascii",
        rich='<html><body>{own}<div><br><blockquote type="cite"><div>On 19 Oct 2026, at 08:00, wrote:</div>{quote}'
        "</blockquote></div></body></html>",
    ),
    "iPhone": Style(
        above=f"\n\n> On 19 Oct 2026, at 08:00, {_WEEKLY} wrote:\n> \n> \ufeff\n",
        below="\nSent from my iPhone",
        quotes="text",
        encoding="base64",
    ),
    "Thunderbird": Style(
        above="On 19/10/2026 08:00, Pump team weekly wrote:\n",
        quotes="text",
        bottom=True,
        encoding="7bit",
        charset="UTF-8",
        parameters="; format=flowed",
    ),
    "Thunderbird in German": Style(
        above="Am 19.10.26 um 08:00 schrieb Pump team weekly:\n",
        bottom=True,
        encoding="8bit",
        parameters="; format=flowed",
        below="\n-- \nSam Okafor\nNachtschicht",
    ),
    "K-9": Style(
        above=f"\n\nAm 19. Oktober 2026 08:00:12 MESZ schrieb {_WEEKLY}:\n",
        mark=">",
        quotes="text",
        below="\n-- \nDiese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.",
    ),
    "FairEmail": Style(
        above=f"\n\n19 Oct 2026 08:00:12 {_WEEKLY}:\n\n", rich="<p>{own}</p><blockquote>{quote}</blockquote>"
    ),
    "Samsung": Style(
        above="\n\nVon meinem Samsung Galaxy Smartphone gesendet.\n\n\n-------- Originalnachricht --------\n"
        f"Von: {_WEEKLY}\nDatum: 19.10.26 08:00 (GMT+01:00)\nAn: Sam <sam@example.org>\nBetreff: {{subject}}\n\n",
        mark="",
        encoding="base64",
        rich="<html><body>{own}<div>-------- Originalnachricht --------</div>{quote}</body></html>",
    ),
    "Yahoo": Style(
        above="\n\n    On Monday, October 19, 2026 at 08:00:12 AM GMT+2, " + _WEEKLY + " wrote:  \n \n",
        mark=" ",
        rich='<html><body><div class="yahoo-style-wrap">{own}</div><div id="yahoo_quoted">{quote}</div></body></html>',
        fields={"X-Mailer": "WebService/1.1 YMailNorrin"},
    ),
    "Proton": Style(
        above="\n\nSent with Proton Mail secure email.\n\n"
        f"On Monday, October 19th, 2026 at 8:00 AM, {_WEEKLY} wrote:\n\n",
        rich='<div>{own}</div><div class="protonmail_quote"><blockquote type="cite">{quote}</blockquote></div>',
    ),
    "GMX on the web": Style(
        above="",
        plain=False,
        rich='<html><body><div>{own}</div><div><div name="quote" style="margin:10px 5px 5px 10px">'
        "<div><b>Gesendet:</b> Montag, 19. Oktober 2026 um 08:00 Uhr<br><b>Von:</b> &quot;Pump team weekly&quot; "
        "&lt;{sender}&gt;<br><b>An:</b> sam@example.org<br><b>Betreff:</b> {subject}</div>"
        "<div name='quoted-content'>{quote}</div></div></div></body></html>",
        prefix="Aw: ",
    ),
    "Notes": Style(
        above=f"\n\n\n\nFrom:   {_WEEKLY}\nTo:     Sam <sam@example.org>\nDate:   19.10.2026 08:00\nSubject:        "
        "{subject}\n\n\n\n",
        mark="",
        quotes="text",
        charset="us-ascii",
        encoding="7bit",
        prefix="Antwort: ",
        names_digest=False,
        fields={"X-Mailer": "HCL Notes Release 12.0.2", "In-Reply-To": "{message_id} (Pump team weekly)"},
    ),
    "mutt": Style(
        above="On Mon, Oct 19, 2026 at 08:00:12AM +0200, Pump team weekly wrote:\n",
        quotes="text",
        bottom=True,
        charset="us-ascii",
        encoding="7bit",
        below="\n-- \nSam",
    ),
    "a web mail that wraps what it sent": Style(
        above=f"\n\n--- Original Message ---\n> From: {_WEEKLY}\n> To: Sam <sam@example.org>\n"
        "> Date: 19.10.2026 08:00\n> Subject: {subject}\n>\n",
        width=60,
        rests=True,
        encoding="8bit",
        prefix="RE: ",
    ),
    "Roundcube": Style(
        above="\n\nW dniu 2026-10-19 08:00, Pump team weekly napisał(a):\n\n",
        quotes="text",
        width=70,
        encoding="8bit",
        parameters=";\r\n format=flowed",
    ),
}


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


def _end_of(lines: list[str], item: int) -> int:
    """Where the lines of an item end: its reply address, or what the button says."""
    begin = next(at for at, line in enumerate(lines) if re.match(rf"[ *]*#{item} ", line))
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
