"""Reading bounces: made-up ones of the kinds that are common, and mail that only looks like them."""

import random
from email.message import EmailMessage
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from tests.small_site import Program, run
from tidings.mailer.bounces import read_bounce
from tidings.mailer.parsed import Reading, Returned

DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.example.org>"
POSTMASTER = "Postmaster <postmaster@example.org>"
LIST = "pump+b.abc@lists.example.org"
ORIGINAL = "From: Ana <ana@example.org>\nTo: pump@lists.example.org\nSubject: Pump 3\n\nIt leaks.\n"


def _dsn(*groups: str, text: str = "It could not be delivered.", sender: str = DAEMON) -> bytes:
    """A report as RFC 3464 has it, with these groups of fields about recipients."""
    status = "\n\n".join(["Reporting-MTA: dns; mx.example.org", *groups])
    return (
        f"Return-Path: <>\nFrom: {sender}\nTo: {LIST}\nSubject: Undelivered Mail Returned to Sender\n"
        'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        f"--b\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n"
        f"--b\nContent-Type: message/delivery-status\n\n{status}\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    ).encode()


def _group(address: str, diagnostic: str = "", *, action: str = "failed", status: str = "5.0.0") -> str:
    fields = [f"Final-Recipient: rfc822; {address}", f"Action: {action}", f"Status: {status}"]
    return "\n".join([*fields, f"Diagnostic-Code: smtp; {diagnostic}"] if diagnostic else fields)


def _text(text: str, *fields: str, sender: str = DAEMON, subject: str = "failure notice") -> bytes:
    """A bounce for people only."""
    head = [f"From: {sender}", f"To: {LIST}", f"Subject: {subject}", "Return-Path: <>", *fields]
    return "\n".join([*head, "", text]).encode()


def _one(raw: bytes) -> Returned:
    reading = read_bounce(raw)
    assert [reading.kind, len(reading.returned)] == ["bounce", 1], reading
    return reading.returned[0]


# --- reports ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(43)
def test_a_report_of_an_unknown_user_is_permanent() -> None:
    said = "550 5.1.1 <li@example.org>: Recipient address rejected: User unknown in local recipient table"
    assert _one(_dsn(_group("li@example.org", said, status="5.1.1"))) == Returned(
        address="li@example.org", permanent=True, status="5.1.1", reason=said, about_message=False
    )


@pytest.mark.acceptance(43)
def test_a_report_of_a_delay_is_temporary_and_says_that_it_goes_on() -> None:
    reading = read_bounce(_dsn(_group("li@example.org", action="delayed", status="4.4.1")))
    assert reading.kind == "delayed"
    assert [(one.permanent, one.status) for one in reading.returned] == [(False, "4.4.1")]


@pytest.mark.acceptance(43)
def test_a_report_of_a_full_mailbox_is_temporary() -> None:
    for status in ("4.2.2", "5.2.2"):
        found = _one(_dsn(_group("li@example.org", f"552 {status} Mailbox full", status=status)))
        assert (found.permanent, found.status, found.about_message) == (False, status, False)


@pytest.mark.acceptance(43)
def test_a_report_inside_other_multiparts_is_found() -> None:
    inner = _dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1")).split(b"\n", 4)[4]
    head = f'Return-Path: <>\nFrom: {POSTMASTER}\nTo: {LIST}\nContent-Type: multipart/mixed; boundary="a"\n\n'
    raw = head.encode() + b"--a\nContent-Type: text/plain\n\nScanned by us.\n--a\n" + inner + b"\n--a--\n"
    assert _one(raw).address == "li@example.org"


@pytest.mark.acceptance(43)
def test_a_wrong_charset_does_not_hide_what_is_said() -> None:
    words = "ディレクトリのリストにありません\n\nli@example.org\n".encode("iso-2022-jp")
    for charset in (b"no-such-charset", b"utf-16", b"us-ascii"):
        head = _text("", f"Content-Type: text/plain; charset={charset.decode()}", sender=POSTMASTER)
        found = _one(head + words)
        assert (found.address, found.permanent) == ("li@example.org", True), charset


@pytest.mark.acceptance(43)
def test_of_what_is_not_understood_nothing_is_said() -> None:
    for sender in (DAEMON, POSTMASTER):
        raw = _text("Your mail had no luck with us.\n" + COPY, subject="Your mail", sender=sender)
        assert read_bounce(raw) == Reading(kind="automatic")
    assert read_bounce(_text("It could not be delivered.", sender=POSTMASTER)) == Reading(kind="automatic")


def test_each_recipient_of_a_report_has_its_own_class_in_their_order() -> None:
    reading = read_bounce(
        _dsn(
            _group("li@example.org", "550 5.1.1 user unknown", status="5.1.1"),
            _group("sam@example.org", "250 2.1.5 ok", action="delivered", status="2.1.5"),
            _group("bob@example.org", "452 4.2.2 over quota", action="delayed", status="4.2.2"),
        )
    )
    assert reading.kind == "bounce"
    assert [(one.address, one.permanent) for one in reading.returned] == [
        ("li@example.org", True),
        ("bob@example.org", False),
    ]


def test_what_was_delivered_is_no_bounce() -> None:
    for action in ("delivered", "relayed", "expanded"):
        assert read_bounce(_dsn(_group("li@example.org", action=action, status="2.0.0"))) == Reading(kind="automatic")


def test_the_refusing_servers_code_is_better_than_the_reports() -> None:
    found = _one(_dsn(_group("li@example.org", "550 5.7.1 IP address blacklisted by recipient", status="5.1.1")))
    assert (found.status, found.permanent, found.about_message) == ("5.7.1", False, True)


def test_a_report_may_leave_out_what_the_rules_ask_for() -> None:
    status = "Original-Recipient: <li@example.org>\nAction: failed\nDiagnostic-Code: smtp; 550 5.1.1 No such user"
    assert (_one(_dsn(status)).address, _one(_dsn(status)).permanent) == ("li@example.org", True)
    spaced = "Final-Recipient : rfc/822;li@example.org\nAction : failed\nStatus : 5.1.1 (no such user)"
    assert _one(_dsn(spaced)).status == "5.1.1"


def test_a_route_before_an_address_and_a_name_without_a_domain_are_passed_over() -> None:
    assert _one(_dsn(_group("@mx.example.org:li@example.org"))).address == "li@example.org"
    twice = "Original-Recipient: rfc822; li@example.org\n" + _group("li@server")
    assert _one(_dsn(twice)).address == "li@example.org"


def test_a_report_on_an_address_beyond_ascii_is_read() -> None:
    raw = _dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1"))
    raw = raw.replace(b"message/delivery-status", b"message/global-delivery-status")
    raw = raw.replace(b"rfc822; li@", "utf-8; lí@".encode())
    assert _one(raw).address == "lí@example.org"


def test_a_report_whose_parts_were_lost_is_read_from_the_text() -> None:
    lines = _dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1")).decode().split("\n")
    raw = "\n".join(line for line in lines if not line.startswith(("MIME-Version", "Content-Type: multipart")))
    assert (_one(raw.encode()).address, _one(raw.encode()).permanent) == ("li@example.org", True)


def test_the_report_of_the_returned_message_is_not_ours() -> None:
    raw = _dsn(_group("li@example.org", "550 5.7.1 message content rejected", status="5.7.1"))
    inner = _dsn(_group("sam@example.org", "550 5.1.1 no such user", status="5.1.1")).replace(b"--b", b"--c")
    raw = raw.replace(ORIGINAL.encode(), inner.replace(b'"b"', b'"c"'))
    assert _one(raw).address == "li@example.org"


def test_the_category_of_powermta_counts() -> None:
    group = _group("li@example.org", "550 5.2.1 rejected") + "\nX-PowerMTA-BounceCategory: bad-mailbox"
    assert _one(_dsn(group)).permanent


def test_a_local_program_that_fails_says_nothing_about_the_mailbox() -> None:
    group = _group("li@example.org", status="5.1.1") + "\nDiagnostic-Code: x-unix; id: vmail: No such user"
    assert not _one(_dsn(group)).permanent


# --- texts for people ------------------------------------------------------------------------------------------------

QMAIL = "Hi. This is the qmail-send program at mx.example.org.\nI wasn't able to deliver your message.\n\n{}\n"
COPY = "\n--- Below this line is a copy of the message.\n\n" + ORIGINAL
TEXTS = {
    "qmail": QMAIL.format("<li@example.org>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 no such user\n")
    + COPY,
    "exim": "This message was created automatically by mail delivery software.\n"
    "A message sent by\n\n  <ana@example.org>\n\ncould not be delivered. The following address(es) failed:\n\n"
    "  li@example.org\n    SMTP error from remote mail server after RCPT TO:<li@example.org>:\n"
    "    host mx.example.org [192.0.2.1]: 550 unknown user\n",
    "postfix": "This is the mail system at host mx.example.org.\n\nFor help, write to <help@example.org>\n\n"
    "<li@example.org>: host mx.example.org[192.0.2.1] said: 550\n    User unknown (in reply to RCPT TO\n    command)\n",
    "sendmail": "   ----- The following addresses had permanent fatal errors -----\n<li@example.org>\n"
    "    (reason: 550 5.1.1 User unknown)\n\n   ----- Transcript of session follows -----\n",
    "old sendmail": "   ----- Transcript of session follows -----\n>>> RCPT To:<li@example.org>\n<<< 550 User unknown\n"
    "554 <li@example.org>... 550 User unknown\n   ----- Unsent message follows -----\n" + ORIGINAL,
    "exchange": "Your message\n\n  To:      pump@lists.example.org\n\ndid not reach the following recipient(s):\n\n"
    "li@example.org on Thu, 29 Apr 2010 00:00:00 -0000\n    The recipient name is not recognized\n",
    "domino": "Your message\n\n  Subject: Pump 3\n\nwas not delivered to:\n\n  li@example.org\n\nbecause:\n\n"
    "  User Li (li@example.org) not listed in Domino Directory\n",
    "imail": "Unknown user: li@example.org\n\nOriginal message follows.\n\n" + ORIGINAL,
    "dragonfly": "This is the DragonFly Mail Agent.\nThere was an error delivering your mail to <li@example.org>.\n\n"
    "mx.example.org [192.0.2.1] did not like our RCPT TO:\n550 5.1.1 User unknown\n\nMessage headers follow.\n",
    "zoho": "A message that you sent could not be delivered to all of its recipients.\n\n"
    "li@example.org Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 User Unknown\n",
    "in other words": "Wir konnten Ihre Mail nicht zustellen.\n\nEmpfänger: li@example.org\n\n550 5.1.1 unbekannt\n",
}


@pytest.mark.acceptance(43)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_for_people_names_who_is_unknown(text: str) -> None:
    found = _one(_text(text, "Content-Type: text/plain; charset=utf-8"))
    assert (found.address, found.permanent, found.about_message) == ("li@example.org", True, False)


def test_a_text_names_several_each_with_its_own_reason() -> None:
    text = QMAIL.format(
        "<li@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        "<sam@example.org>:\nRemote host said: 552 5.2.2 Mailbox full\n"
    )
    found = [(one.address, one.permanent, one.status) for one in read_bounce(_text(text + COPY)).returned]
    assert found == [("li@example.org", True, "5.1.1"), ("sam@example.org", False, "5.2.2")]


def test_a_text_in_html_is_read() -> None:
    html = "<html><body><p>We could not deliver your message to</p><p>li@example.org</p><p>550 5.1.1 no such user"
    found = _one(_text(html, "Content-Type: text/html; charset=utf-8"))
    assert (found.address, found.permanent) == ("li@example.org", True)


def test_a_text_that_tells_of_a_delay_says_so() -> None:
    text = "Your message could not be delivered yet.\n\n  li@example.org\n    421 try later\n\nIt will be retried.\n"
    reading = read_bounce(_text(text, subject="Warning: message delayed 4 hours"))
    assert (reading.kind, reading.returned[0].permanent) == ("delayed", False)


def test_failed_recipients_in_the_header_do_where_the_text_names_none() -> None:
    found = _one(_text("Your message was not delivered.", "X-Failed-Recipients: li@example.org"))
    assert found.address == "li@example.org"


def test_the_reader_of_the_returned_message_does_where_nobody_else_is_named() -> None:
    text = "   ----- Transcript of session follows -----\n421 example.org... Deferred: Connection timed out\n"
    returned = "   ----- Unsent message follows -----\nReceived: by mx.example.org\nTo: li@example.org\n"
    found = _one(_text(text + returned))
    assert (found.address, found.permanent) == ("li@example.org", False)


def test_flufl_bounce_names_whom_no_rule_of_ours_does() -> None:
    text = "A message that you sent could not be delivered.\n\n  undisclosed (alias li@example.org)\n"
    assert _one(_text(text)).address == "li@example.org"


def test_a_notification_of_amazon_is_read() -> None:
    recipient = (
        '{"emailAddress":"li@example.org","action":"failed","status":"5.1.1","diagnosticCode":"550 no such user"}'
    )
    inner = f'{{"notificationType":"Bounce","bounce":{{"bouncedRecipients":[{recipient}]}}}}'
    for text in (inner, '{"Type":"Notification","Message":"' + inner.replace('"', '\\"') + '"}'):
        assert _one(_text(text, sender="no-reply@sns.example.org", subject="Notification")).permanent


# --- what a refusal means --------------------------------------------------------------------------------------------

FOR_GOOD = [
    ("5.1.1", "550 5.1.1 The email account that you tried to reach does not exist"),
    ("5.1.2", "550 5.1.2 Host unknown (Name server: example.org: host not found)"),
    ("5.1.6", "551 5.1.6 recipient no longer on server"),
    ("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied"),
    ("5.4.4", "Host or domain name not found. Name service error for name=example.org type=A: Host not found"),
    ("5.7.27", "550 Host does not accept mail"),
    ("4.1.1", "450 4.1.1 <li@example.org>: Recipient address rejected: User unknown in virtual alias table"),
]
FOR_NOW = [
    ("5.2.1", "550 5.2.1 The email account that you tried to reach is disabled"),
    ("5.2.2", "552 5.1.1 sorry, this mailbox is over quota"),
    ("4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection timed out"),
    ("4.4.3", "Name service error for name=example.org type=MX: Host not found, try again"),
    ("5.4.6", "554 5.4.6 Too many hops"),
    ("5.0.0", "550 Unknown user li@example.org (in reply to end of DATA command)"),
    ("5.3.0", "554 5.3.0 Internal system error"),
]
ABOUT_THE_MESSAGE = [
    ("5.7.1", "550 5.7.1 Email rejected per DMARC policy for example.org"),
    ("5.7.26", "550-5.7.26 Unauthenticated email from example.org is not accepted"),
    ("5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list"),
    ("5.0.0", "554 Message rejected as spam"),
    ("5.3.4", "552 5.3.4 Message too large"),
    ("5.7.1", "554 5.7.1 <li@example.org>: Relay access denied"),
    ("5.7.25", "550 5.7.25 The IP address sending this message does not have a PTR record"),
    ("4.7.0", "421 4.7.0 Messages temporarily deferred due to unexpected volume or user complaints"),
    ("5.1.8", "553 5.1.8 <ana@example.org>... Domain of sender address does not exist"),
    ("5.6.0", "552 5.6.0 Headers too large"),
    ("5.0.0", "550 Virus detected"),
]


@pytest.mark.parametrize(("status", "said"), FOR_GOOD)
def test_a_mailbox_or_domain_that_is_not_there_is_permanent(status: str, said: str) -> None:
    found = _one(_dsn(_group("li@example.org", said, status=status)))
    assert (found.permanent, found.about_message) == (True, False)


@pytest.mark.parametrize(("status", "said"), FOR_NOW)
def test_what_may_pass_is_temporary(status: str, said: str) -> None:
    found = _one(_dsn(_group("li@example.org", said, status=status)))
    assert (found.permanent, found.about_message) == (False, False)


@pytest.mark.acceptance(45)
@pytest.mark.parametrize(("status", "said"), ABOUT_THE_MESSAGE)
def test_what_is_refused_for_the_message_is_not_about_the_member(status: str, said: str) -> None:
    found = _one(_dsn(_group("li@example.org", said, status=status)))
    assert (found.permanent, found.about_message) == (False, True)


def test_user_unknown_is_permanent_in_answer_to_rcpt_only() -> None:
    said = "<li@example.org>: host mx.example.org[192.0.2.1] said: 550 User unknown (in reply to {} command)"
    for command, permanent in (("RCPT TO", True), ("end of DATA", False)):
        raw = _dsn(_group("li@example.org", "550 User unknown"), text=said.format(command))
        assert _one(raw).permanent is permanent


def test_what_the_code_alone_says_does_where_no_words_are_known() -> None:
    for status, permanent, about in (("5.1.1", True, False), ("5.7.1", False, True), ("5.0.0", False, False)):
        found = _one(_dsn(_group("li@example.org", status=status), text="Nein."))
        assert (found.permanent, found.about_message) == (permanent, about), status


def test_a_reason_is_one_short_line_without_controls() -> None:
    said = "550 5.1.1 no\x1b[31m such user\n  " + "and more\t" * 100
    reason = _one(_dsn(_group("li@example.org", said, status="5.1.1"))).reason
    assert reason.startswith("550 5.1.1 no[31m such user and more and more")
    assert len(reason) == 300


# --- what is no bounce -----------------------------------------------------------------------------------------------

VACATION = "I am away until 5 May. For urgent matters please use the following address:\n\nbob@example.org\n\nAna"
ANA = "Ana <ana@example.org>"
OTHERS = {
    "vacation": _text(VACATION, "Auto-Submitted: auto-replied", sender=ANA, subject="Re: Pump 3"),
    "vacation about a bounce": _text(
        "Your mail could not be delivered to me, so 550 5.1.1.\nbob@example.org",
        subject="Automatic reply: x",
        sender=ANA,
    ),
    "one who left": _text(
        "I have left. Mail will not be delivered. Use: ana@example.com",
        "Auto-Submitted: auto-replied",
        sender=ANA,
        subject="Re: Pump 3",
    ),
    "postmaster away": _text(VACATION, sender=POSTMASTER, subject="Re: Pump 3"),
    "quoted bounce": (
        f"From: {ANA}\nTo: {LIST}\nSubject: Fwd: Undelivered Mail Returned to Sender\n\nWhat is this?\n\n"
        "> From: MAILER-DAEMON@mx.example.org\n> Final-Recipient: rfc822; li@example.org\n> Action: failed\n"
        "> Status: 5.1.1\n> 550 5.1.1 <li@example.org>: User unknown\n"
    ).encode(),
    "talk about bounces": (
        f"From: {ANA}\nTo: {LIST}\nSubject: Mail could not be delivered\n\n"
        "My mail could not be delivered:\n\nli@example.org\n    550 User unknown\n"
    ).encode(),
    "nobody's": _dsn(_group("li@example.org", status="5.1.1"))
    .replace(f"From: {DAEMON}\n".encode(), b"")
    .replace(f"To: {LIST}\n".encode(), b""),
}


@pytest.mark.acceptance(35)
@pytest.mark.parametrize("raw", OTHERS.values(), ids=OTHERS)
def test_other_mail_is_never_taken_for_a_bounce(raw: bytes) -> None:
    reading = read_bounce(raw)
    assert reading.kind in ("automatic", "none")
    assert reading.returned == ()


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        ("feedback-report", "message/feedback-report"),
        ("disposition-notification", "message/disposition-notification"),
        ("tlsrpt", "application/tlsrpt+gzip"),
    ],
)
def test_reports_about_other_things_are_automatic_mail(report: str, kind: str) -> None:
    raw = _dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1"))
    raw = raw.replace(b"report-type=delivery-status", f"report-type={report}".encode())
    raw = raw.replace(b"Content-Type: message/delivery-status", f"Content-Type: {kind}".encode())
    assert read_bounce(raw) == Reading(kind="automatic")


def test_a_person_who_writes_is_no_program() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ANA, LIST, "Pump 3"
    message.set_content("It leaks again.")
    assert read_bounce(message.as_bytes()) == Reading(kind="none")


# --- hostile ones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_line_ends_make_no_difference(ends: bytes) -> None:
    for raw in [
        _dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1")),
        *(_text(text, "Content-Type: text/plain; charset=utf-8") for text in TEXTS.values()),
        *OTHERS.values(),
    ]:
        assert read_bounce(raw.replace(b"\n", ends)) == read_bounce(raw)


def test_of_endless_recipients_a_thousand_count() -> None:
    groups = (_group(f"u{number}@example.org", status="5.1.1") for number in range(3_000))
    assert len(read_bounce(_dsn(*groups)).returned) == 1_000
    lines = "\n".join(f"<u{number}@example.org>: 550 no" for number in range(3_000))
    assert len(read_bounce(_text(lines)).returned) == 1_000


@pytest.mark.parametrize(
    "body",
    [
        b"a" * 3_000_000,
        b"a@" * 1_000_000,
        (b"a" * 998 + b"@\n") * 1_000,
        b"user " * 500_000,
        b'"' * 1_000_000,
        b"RCPT TO:" * 100_000,
        b"{" * 1_000_000 + b'"bouncedRecipients":[' * 1_000,
        b"Final-Recipient: rfc822; a\n" + b" x\n" * 300_000,
        b"To:\n \n \n" * 100_000,
    ],
    ids=["word", "signs", "words", "users", "quotes", "commands", "json", "folds", "fields"],
)
def test_endless_text_is_read_in_a_moment(body: bytes) -> None:
    report = _dsn(text="No.").split(b"Reporting-MTA")[0]
    for head in (_text("550 failed\n\n"), report):
        assert read_bounce(head + body).returned == ()


def test_parts_that_are_nested_without_end_are_no_bounce() -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (depth, depth) for depth in range(5_000)
    )
    assert read_bounce(b"From: MAILER-DAEMON\n" + nested) == Reading(kind="none")


def test_no_bytes_make_it_fail() -> None:
    samples = [
        _dsn(_group("li@example.org", "550 5.1.1 no")),
        *OTHERS.values(),
        *(_text(text) for text in TEXTS.values()),
    ]
    chance = random.Random(43)
    for _ in range(400):
        raw = bytearray(chance.choice(samples))
        for _ in range(chance.randrange(1, 12)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(6))
        assert read_bounce(bytes(raw)).kind in get_args(get_type_hints(Reading)["kind"])
    assert read_bounce(b"") == Reading(kind="none")


def test_a_reading_passes_from_one_process_to_another() -> None:
    reading = read_bounce(_dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1")))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(reading), type=Reading) == reading


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_whom_a_bounce_names(tmp_path: Path) -> None:
    tidings = Program(tmp_path / "tidings.toml")
    file = tmp_path / "bounce.eml"
    file.write_bytes(_dsn(_group("li@example.org", "550 5.1.1 no such user", status="5.1.1")))
    expected = [{"address": "li@example.org", "permanent": True, "status": "5.1.1", "reason": "550 5.1.1 no such user"}]
    assert tidings("bounce", file, "--json").json == expected
    assert tidings("bounce", "--json", stdin=file.read_bytes()).json == expected
    assert tidings("bounce", file).text.splitlines()[1].split() == [
        "li@example.org",
        "permanent",
        *["5.1.1", "550", "5.1.1", "no", "such", "user"],
    ]


def test_the_command_says_what_is_temporary_and_what_goes_on() -> None:
    late = _dsn(_group("li@example.org", "451 4.4.1 timeout", action="delayed", status="4.4.1"))
    first, last = run(["bounce"], late).text.splitlines()[1:]
    assert first.split()[:2] == ["li@example.org", "temporary"]
    assert last == "The mail system goes on trying."
    spam = _dsn(_group("li@example.org", "554 5.7.1 spam", status="5.7.1"))
    assert "of the message" in run(["bounce"], spam).text


def test_the_command_says_that_a_mail_is_no_bounce(tmp_path: Path) -> None:
    tidings = Program(tmp_path / "tidings.toml")
    assert tidings("bounce", stdin=OTHERS["vacation"]).text == "This is no bounce, or one that names nobody.\n"
    assert tidings("bounce", "--json", stdin=OTHERS["vacation"]).json == []
    assert "no-such.eml" in tidings("bounce", tmp_path / "no-such.eml", status=2).err
