"""The habits of mail programs in answering: made after what they are seen to do; the words are made up.

Each says what stands above a quote, how quoted lines are marked, where the answer goes, and what the header has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
