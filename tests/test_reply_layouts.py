"""Replies as mail programs lay them out in HTML: only what their author wrote is seen, and what is passed on stays."""

import pytest

from tidings.mailer import html_text
from tidings.threading.quotes import fold, shown


def seen(source: str, *, forwarded: bool = False) -> str:
    text = html_text.to_text(source)
    return shown(text, fold(text, forwarded=forwarded))


def attribution(words: str, address: str = "ann@example.org") -> str:
    return words.replace("@", f'&lt;<a href="mailto:{address}">{address}</a>&gt;')


GMAIL = (
    '<div dir="ltr">Mine.</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">'
    + attribution("{}<br></div>")
    + '<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204)">'
    "<div>Theirs.<br></div></blockquote></div>"
)
OUTLOOK_HEAD = (
    '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in 0in 0in"><p class=MsoNormal><b>From:</b> '
    "Ann &lt;ann@example.org&gt; <br><b>Sent:</b> Tuesday, March 5, 2024 9:07 AM<br><b>To:</b> Bob<br><b>Subject:</b> "
    "Valve<o:p></o:p></p></div>"
)
OWA_HEAD = (
    '<div id="appendonsend"></div><hr style="display:inline-block;width:98%" tabindex="-1"><div id="divRplyFwdMsg" '
    'dir="ltr"><font face="Calibri"><b>{}:</b> Ann &lt;ann@example.org&gt;<br><b>{}:</b> 5.3.2024<br><b>{}:</b> Bob<br>'
    "<b>{}:</b> Valve</font><div>&nbsp;</div></div>"
)

REPLIES = {
    "Gmail": GMAIL.format("On Tue, Mar 5, 2024 at 9:07 AM Ann Example @ wrote:"),
    "Gmail in a language that is not known": GMAIL.format("Vas 5 Már 2024 09:07 Ann Example @ ezt mondta:"),
    "Outlook": "<div class=WordSection1><p class=MsoNormal>Mine.<o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p>"
    f"<div>{OUTLOOK_HEAD}</div><p class=MsoNormal>Theirs.<o:p></o:p></p></div>",
    "Outlook with a blue line": "<div class=WordSection1><p>Mine.</p><div style='border:none;border-left:solid blue "
    f"1.5pt;padding:0in 0in 0in 4.0pt'><div>{OUTLOOK_HEAD}</div><p>Theirs.</p></div></div>",
    "Outlook on the web": f"<div>Mine.</div>{OWA_HEAD.format('From', 'Sent', 'To', 'Subject')}<div>Theirs.</div>",
    "Outlook in Greek": f"<div>Mine.</div>{OWA_HEAD.format('Από', 'Στάλθηκε', 'Προς', 'Θέμα')}<div>Theirs.</div>",
    "Yahoo": '<div class="yahoo-style-wrap">Mine.</div><div id="ydp1" class="yahoo_quoted"><div><div>'
    "Il martedì 5 marzo 2024 alle ore 09:07:12 CET, Ann Example &lt;ann@example.org&gt; ha scritto: </div><div><br>"
    "</div><div>Theirs.</div></div></div>",
    "Thunderbird": '<p>Mine.</p><div class="moz-cite-prefix">On 3/5/24 09:07, Ann Example wrote:<br></div>'
    '<blockquote type="cite" cite="mid:1@example.org"><p>Theirs.</p></blockquote><div class="moz-signature">-- <br>Bob'
    "</div>",
    "Proton": '<div>Mine.</div><div class="protonmail_quote">------- Original Message -------<br>On Tuesday, March '
    "5th, 2024 at 09:07, Ann &lt;ann@example.org&gt; wrote:<br><br>"
    '<blockquote class="protonmail_quote" type="cite">Theirs.</blockquote></div>',
    "Apple Mail": 'Mine.<br><div><br><blockquote type="cite"><div>On 5 Mar 2024, at 09:07, Ann &lt;<a '
    'href="mailto:ann@example.org">ann@example.org</a>&gt; wrote:</div><br class="Apple-interchange-newline"><div>'
    "Theirs.</div></blockquote></div><br>",
    "an iPhone": '<div dir="ltr">Mine.</div><div dir="ltr"><br><blockquote type="cite">On 5 Mar 2024, at 09:07, Ann '
    '&lt;ann@example.org&gt; wrote:<br><br></blockquote></div><blockquote type="cite"><div>Theirs.</div></blockquote>',
    "GMX": '<div>Mine.<div><br><div name="quote" style="padding:10px;border-left:2px solid #C3D9E5;"><div><b>Gesendet:'
    "</b> Dienstag, 05. März 2024 um 09:07 Uhr<br><b>Von:</b> Ann &lt;ann@example.org&gt;<br><b>An:</b> "
    "bob@example.org<br><b>Betreff:</b> Ventil</div><div>Theirs.</div></div></div></div>",
    "Zimbra": '<div>Mine.</div><hr id="zwchr"><div><b>From: </b>Ann<br><b>To: </b>Bob<br><b>Sent: </b>Tuesday<br>'
    "<b>Subject: </b>Valve<br></div><div>Theirs.</div>",
    "a gateway": '<div>Mine.</div><br><hr align="left"><p><b>Disclaimer</b></p><p>This e-mail is '
    "confidential and meant for the intended recipient only.</p><p>It was scanned.</p>",
    "a quote without a line": 'Mine.<blockquote type="cite" style="border:none;padding:0">Theirs.</blockquote>',
}


@pytest.mark.parametrize("source", REPLIES.values(), ids=REPLIES)
def test_of_a_reply_only_its_own_words_are_seen(source: str) -> None:
    assert seen(source) == "Mine."


def test_answers_between_the_quotes_of_gmails_container_are_seen() -> None:
    source = GMAIL.format("On Tue, Mar 5, 2024 at 9:07 AM Ann Example @ wrote:").removesuffix("</div>")
    second = '<div>And this.</div><blockquote class="gmail_quote">More of theirs.</blockquote><div>The end.</div></div>'
    assert seen(source + second).split("\n") == ["Mine.", "", "And this.", "The end."]


def test_what_was_indented_only_is_its_authors() -> None:
    assert seen('Mine.<blockquote style="margin:0 0 0 40px;border:none">Mine too.</blockquote>') == "Mine.\nMine too."


PASSED_ON = {
    "Gmail": '<div>Mine.<div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>'
    "From: <b>Ann</b> &lt;ann@example.org&gt;<br>Date: Tue, Mar 5<br>Subject: x<br>To: &lt;bob@example.org&gt;<br>"
    "</div><br>Theirs.</div></div>",
    "Apple Mail": 'Mine.<br><div><br><blockquote type="cite"><div>Begin forwarded message:</div><br><div><b>From: </b>'
    "Ann<br></div><div><b>Subject: </b>x<br></div><div><b>Date: </b>5 March<br></div><div><b>To: </b>Bob<br></div>"
    "<br><div>Theirs.</div></blockquote></div>",
    "Outlook on the web": f"<div>Mine.</div>{OWA_HEAD.format('From', 'Sent', 'To', 'Subject')}<div>Theirs.</div>",
}


@pytest.mark.parametrize("source", PASSED_ON.values(), ids=PASSED_ON)
def test_what_is_passed_on_stays(source: str) -> None:
    found = seen(source, forwarded=True)
    assert found.startswith("Mine.")
    assert found.endswith("Theirs.")


APPLE_FORWARD = "> Begin forwarded message:\n> \n> From: Ann\n> Subject: x\n> Date: 5 March\n> To: Bob\n> \n> Theirs."


def test_what_apple_mail_passes_on_with_marks_stays_but_for_what_it_quotes_itself() -> None:
    text = f"Mine.\n\n{APPLE_FORWARD}\n>> Older.\n"
    assert shown(text, fold(text, forwarded=True)) == f"Mine.\n\n{APPLE_FORWARD}"
    assert shown(text, fold(text)) == "Mine."


def test_a_quote_of_what_was_passed_on_is_a_quote() -> None:
    text = f"Mine.\n\nOn 5 Mar 2024 09:07, Bob wrote:\n\n{APPLE_FORWARD}\n"
    assert shown(text, fold(text, forwarded=True)) == "Mine."
