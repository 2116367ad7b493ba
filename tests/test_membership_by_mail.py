"""Membership by mail: each change takes a yes of whom it concerns, and nobody is bombed by asking."""

import re
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import select

from tests import seed
from tests.letterbox import NOOR, Letterbox, Sent
from tests.running import RunningSite, message, settings_for
from tests.signing import Signer
from tests.small_site import ANA, BERLIN, LI, PUMP, SAM, WEDNESDAY, SmallSite, any_site, makings, small_site
from tidings.communities import joining, rota, senders
from tidings.database import tables
from tidings.intake.asking import Asking, is_list_address, mailbox
from tidings.intake.letters import join_question
from tidings.mailer import commands
from tidings.mailer.commands import Problem

SUBSCRIBE, UNSUBSCRIBE = "pump+subscribe@lists.example.org", "pump+unsubscribe@lists.example.org"
HELP, COMMAND = "pump+help@lists.example.org", "pump+command@lists.example.org"
FIXTURES = (any_site, makings, small_site)


@pytest.fixture
def box(small_site: SmallSite) -> Letterbox:
    return Letterbox(small_site)


@pytest.fixture
def any_box(any_site: SmallSite) -> Letterbox:
    """On each engine in turn."""
    return Letterbox(any_site)


def ask_to_join(box: Letterbox, who: str = NOOR) -> Sent:
    (question,) = box.write(SUBSCRIBE, "Please let me in", who)
    return question


# --- joining ---------------------------------------------------------------------------------------------------------


def test_who_writes_to_the_join_address_is_asked_and_joins_by_a_reply(any_box: Letterbox) -> None:
    question = ask_to_join(any_box)
    assert re.fullmatch(r"pump\+confirm\.[a-z2-7]{26}@lists\.example\.org", question.sender)
    assert (question.to, question.subject) == (NOOR, "Join Pump team?")
    assert any_box.member(NOOR) is None
    (welcome,) = any_box.reply(question, sender=f"Noor Aziz <{NOOR}>")
    assert (welcome.to, welcome.subject) == (NOOR, "Welcome to Pump team")
    joined = any_box.present(NOOR)
    assert (joined.name, joined.role, joined.delivery) == ("Noor Aziz", "member", "each")
    assert any_box.why() == ("accept", f"{NOOR} joined.")


@pytest.mark.acceptance(60)
@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Re: Join Pump team?", "Yes please\n"),
        ("AW: Join Pump team?", ""),
        ("SV: Join Pump team?", ""),
        ("Odp: Join Pump team?", "Tak\n"),
        ("回复：Join Pump team?", ""),
        ("Quite another subject", "I am Noor, hello.\n"),
        ("", ""),
    ],
)
def test_a_reply_confirms_whatever_its_subject_and_text(box: Letterbox, subject: str, text: str) -> None:
    question = ask_to_join(box)
    box.reply(question, text, subject=subject)
    assert box.member(NOOR) is not None


@pytest.mark.acceptance(60)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "Yes\n\n-----Original Message-----\nFrom: Pump team\nSubject: Join Pump team?\n\nSomebody, we hope you\n",
        "> Somebody, we hope you, asked that\n> To join, reply to this mail.\n\nok\n",
        "No dia 14/10/2026, Pump team <pump+confirm.x@lists.example.org> escreveu:\n> Somebody, we hope\n",
    ],
)
def test_a_reply_confirms_with_an_empty_or_quoted_body_and_above_or_below_it(box: Letterbox, body: str) -> None:
    question = ask_to_join(box)
    box.write(question.sender, body, NOOR, "Re: Join Pump team?")
    assert box.member(NOOR) is not None


@pytest.mark.acceptance(60)
@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"subject": "Out of Office: Join Pump team?"},
        {"subject": "Automatic reply: Join Pump team?"},
        {"subject": "Abwesenheitsnotiz: Join Pump team?"},
        {"subject": "Réponse automatique : Join Pump team?"},
    ],
)
def test_an_out_of_office_never_confirms(box: Letterbox, fields: dict[str, str]) -> None:
    question = ask_to_join(box)
    assert box.reply(question, "I am away until 3 Nov.\n", **fields) == []
    assert box.member(NOOR) is None
    assert box.why()[0] == "discard"
    assert box.reply(question)[0].subject == "Welcome to Pump team", "the question is still open"


def test_a_bounce_of_the_question_confirms_nothing(box: Letterbox) -> None:
    question = ask_to_join(box)
    assert box.take_in(box.mail(question.sender, "Not delivered"), question.sender, return_path="") == []
    assert box.member(NOOR) is None


@pytest.mark.parametrize(
    "text",
    [
        "No!",
        "no thanks, I did not ask for this",
        "Nein",
        "Non merci.",
        "Nej tak",
        "Dear all,\n\nno.",
        "I did not ask for this. STOP!",
        "Stop mailing me",
        "Unsubscribe",
        "I didn't want that",
        "Don’t",
    ],
)
def test_a_reply_that_says_no_is_no_yes(box: Letterbox, text: str) -> None:
    question = ask_to_join(box)
    (answer,) = box.reply(question, text)
    assert "nothing was done" in answer.subject
    assert box.member(NOOR) is None
    box.reply(question, "Yes, after all.")
    assert box.member(NOOR) is None, "the question was answered"


@pytest.mark.parametrize("text", ["No problem, thanks", "Now it works", "Nobody told me, but yes", "Hello,\nyes"])
def test_a_reply_that_only_looks_like_a_no_is_a_yes(box: Letterbox, text: str) -> None:
    box.reply(ask_to_join(box), text)
    assert box.member(NOOR) is not None


@pytest.mark.acceptance(55)
def test_a_token_is_good_once_for_72_hours_and_who_comes_late_is_told(box: Letterbox) -> None:
    question = ask_to_join(box)
    box.site.clock.advance(timedelta(hours=72, seconds=1))
    (late,) = box.reply(question)
    assert late.subject == "Pump team: nothing was done"
    assert box.member(NOOR) is None
    question = ask_to_join(box)
    box.site.clock.advance(timedelta(hours=71))
    box.reply(question)
    (second,) = box.reply(question)
    assert second.subject == "Pump team: nothing was done"
    assert box.reply(question, sender="stranger@example.org") == [], "whoever else has the token learns nothing"


@pytest.mark.acceptance(55)
def test_a_token_works_for_the_community_and_the_address_that_it_was_made_for(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        joining.add_community(connection, name="ward", title="Ward", zone="UTC", now=box.site.clock.now())
    question = ask_to_join(box)
    elsewhere = question.sender.replace("pump+", "ward+")
    assert box.write(elsewhere, "", NOOR) == []
    assert box.member(NOOR, "ward") is None
    # Forwarded mail is answered from another address; the one that was asked is the one that joins.
    box.write(question.sender, "Yes", "noor.private@example.org")
    assert box.member(NOOR) is not None
    assert box.member("noor.private@example.org") is None


@pytest.mark.acceptance(55)
def test_tokens_are_kept_hashed(box: Letterbox) -> None:
    question = ask_to_join(box)
    token = question.sender.partition(".")[2].partition("@")[0]
    with box.site.site.database.read() as connection:
        (row,) = connection.execute(select(tables.confirmation)).all()
    assert len(token) == 26, "130 bits of base32 hold 128 random ones"
    assert token not in str(row)


def test_a_made_up_token_does_nothing(box: Letterbox) -> None:
    assert box.write(f"pump+confirm.{'a' * 26}@lists.example.org", "Yes") == []
    assert box.why()[0] == "discard"


def test_a_member_who_joins_again_is_told_kindly_at_the_address_on_record(box: Letterbox) -> None:
    (told,) = box.write(SUBSCRIBE, "", ANA)
    assert (told.to, told.subject) == (ANA, "You are in Pump team")
    assert box.open_questions() == 0


def test_joining_twice_makes_one_member(box: Letterbox) -> None:
    first = ask_to_join(box)
    box.site.clock.advance(timedelta(days=1))
    second = ask_to_join(box)
    box.reply(first)
    member = box.present(NOOR)
    box.reply(second)
    assert box.present(NOOR) == member


def test_who_left_comes_back_by_joining(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        joining.remove_member(connection, membership_id=box.present(LI).membership_id, now=box.site.clock.now())
    box.reply(ask_to_join(box, LI))
    assert box.present(LI).name == "Li"


def test_nobody_joins_an_archived_community_and_who_asks_is_told(box: Letterbox) -> None:
    question = ask_to_join(box)
    with box.site.site.database.write() as connection:
        joining.archive_community(connection, "pump", box.site.clock.now())
    (told,) = box.write(SUBSCRIBE, "", "mei@example.org")
    assert told.subject == "Pump team is closed"
    (told,) = box.reply(question)
    assert told.subject == "Pump team is closed"
    assert box.member(NOOR) is None


def test_whom_a_moderator_banned_is_neither_asked_nor_answered(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        senders.set_rule(connection, box.site.community().id, NOOR, "ban", box.site.clock.now())
    assert [box.write(to, "help", NOOR) for to in (SUBSCRIBE, HELP, COMMAND)] == [[], [], []]


@pytest.mark.acceptance(61)
@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"=?utf-8?q?Noor=0D=0ABcc=3A_all?=", ""),
        (b"=?utf-8?b?Tm9vciDwn5iA?=", "Noor 😀"),
        (b"Noor\r\n Aziz", "Noor Aziz"),
        (b"x" * 500, ""),
        (b'"evil@example.org"', ""),
    ],
)
def test_the_name_of_who_joins_is_one_line_or_none(box: Letterbox, name: bytes, kept: str) -> None:
    question = ask_to_join(box)
    raw = box.mail(question.sender, "", NOOR)
    named = raw.replace(b"From: noor@example.org", b"From: " + name + b" <noor@example.org>", 1)
    (welcome,) = box.take_in(named, question.sender)
    assert box.present(NOOR).name == kept
    assert "Bcc" not in welcome.message


# --- who is asked, and how often -------------------------------------------------------------------------------------


@pytest.mark.acceptance(50)
def test_only_from_names_the_sender_and_nobody_in_other_fields_is_asked(box: Letterbox) -> None:
    victim = "victim@example.org"
    sent = box.write(SUBSCRIBE, "", NOOR, Reply_To=victim, Sender=victim, Cc=victim)
    assert [one.to for one in sent] == [NOOR]
    sent = box.write(COMMAND, "pause", SAM, Reply_To=victim, Sender=victim, Cc=victim)
    assert [one.to for one in sent] == [SAM]
    box.reply(sent[0], "", Reply_To=victim, Cc=victim)
    assert box.member(victim) is None


@pytest.mark.acceptance(58)
def test_the_question_says_nothing_that_the_asker_wrote(box: Letterbox) -> None:
    spam = "Buy at http://spam.example.org"
    (question,) = box.write(SUBSCRIBE, spam, f'"{spam}" <{NOOR}>', spam, Comments=spam, Keywords="spam")
    assert b"spam" not in question.message.as_bytes().lower()


@pytest.mark.acceptance(58)
def test_whoever_asks_however_often_a_mailbox_gets_one_question_a_list_and_three_a_day(any_box: Letterbox) -> None:
    names = [f"list{number}" for number in range(5)]
    with any_box.site.site.database.write() as connection:
        for name in names:
            joining.add_community(connection, name=name, title=name, zone="UTC", now=any_box.site.clock.now())
    variants = ["v.ictim@example.org", "victim+a@example.org", "VICTIM+b@Example.ORG", "vic.tim@example.org"]
    sent = [
        (name, one)
        for name in names
        for variant in variants
        for one in any_box.write(f"{name}+subscribe@lists.example.org", "", variant)
    ]
    assert [name for name, _ in sent] == names[:3]
    assert any_box.open_questions() == 3, "what is not sent leaves nothing behind"
    any_box.site.clock.advance(timedelta(days=1))
    (again,) = any_box.write(SUBSCRIBE, "", "victim@example.org")
    assert again.to == "victim@example.org"


@pytest.mark.acceptance(58)
def test_ten_thousand_requests_bring_one_question(box: Letterbox) -> None:
    asking, pump = Asking(box.site.site.parts()), box.site.community()
    letter = join_question(pump, box.site.site.parts().addresses.of(pump))
    with box.site.site.database.write() as connection:
        sent = [
            asking.ask_stranger(connection, pump, letter, purpose="join", email=f"victim+{number}@example.org")
            for number in range(10_000)
        ]
    assert sent.count(True) == 1
    assert box.open_questions() == 1


@pytest.mark.acceptance(58)
@pytest.mark.acceptance(59)
def test_help_for_strangers_is_one_mail_a_day_to_a_mailbox(box: Letterbox) -> None:
    variants = [NOOR, "n.oor@example.org", "noor+a@example.org"]
    sent = [one for variant in variants for to in (HELP, COMMAND) for one in box.write(to, "help", variant)]
    assert [one.subject for one in sent] == ["Pump team: help"]


@pytest.mark.acceptance(59)
def test_the_null_sender_and_programs_are_never_answered(box: Letterbox) -> None:
    for to in (SUBSCRIBE, UNSUBSCRIBE, HELP, COMMAND):
        for sender in (NOOR, ANA):
            assert box.take_in(box.mail(to, "help", sender), to, return_path="") == []
            assert box.write(to, "help", sender, Auto_Submitted="auto-generated") == []
            assert box.write(to, "help", sender, Precedence="list") == []


@pytest.mark.acceptance(36)
def test_no_address_of_a_community_joins_is_answered_or_becomes_a_members(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        now = box.site.clock.now()
        joining.add_community(connection, name="ward", title="Ward", zone="UTC", now=now)
        joining.add_community(
            connection, name="ring", title="Ring", zone="UTC", now=now, domain="elsewhere.example.org"
        )
    for address in LIST_ADDRESSES:
        assert is_list_address(address, box.site.site.communities, box.site.site.parts().addresses), address
        assert [box.write(to, "help", address) for to in (SUBSCRIBE, HELP, COMMAND)] == [[], [], []], address
        (answer,) = box.signed(COMMAND, f"address {address}\nalso {address}")
        assert (answer.to, answer.text.count("is the address of a community.")) == (SAM, 2)
    assert box.present(SAM).email == SAM


LIST_ADDRESSES = (
    *(PUMP, "PUMP@lists.example.org", "ward@lists.example.org", "ward+subscribe@lists.example.org"),
    *("pump-request@lists.example.org", "ward-owner@lists.example.org", "pump+anything@lists.example.org"),
    *("pump+b.aaaa@lists.example.org", "ring@elsewhere.example.org"),
)


@pytest.mark.parametrize("address", [ANA, "pumps@lists.example.org", "pump@example.org", "pump-li@lists.example.org"])
def test_other_addresses_are_no_communitys(box: Letterbox, address: str) -> None:
    assert not is_list_address(address, box.site.site.communities, box.site.site.parts().addresses)


def test_addresses_of_one_mailbox_count_as_one() -> None:
    assert {mailbox(one) for one in ("a.b+x@Example.org", "AB@example.org", "ab+y+z@example.org")} == {"ab@example.org"}
    assert mailbox("ab@example.org") != mailbox("ab@example.com")


@pytest.mark.acceptance(52)
@pytest.mark.parametrize(
    "sender",
    [
        "sa\u043c@example.org",
        "\uff53am@example.org",
        "sam@ex\u0430mple.org",
        "sam@example.org.",
        '"sam"@example.org',
        "=?utf-8?q?sam=40example=2Eorg?=",
        "sam%example.org@example.net",
        "s\u0061\u0301m@example.org",
        "\u212aim@example.org",
    ],
)
def test_no_look_alike_of_an_address_is_a_members(box: Letterbox, sender: str) -> None:
    with box.site.site.database.write() as connection:
        joining.add_member(connection, community="pump", email="kim@example.org", now=box.site.clock.now())
    before = box.present(SAM)
    raw = box.mail(COMMAND, "pause", "x@example.org").replace(b"From: x@example.org", f"From: {sender}".encode())
    assert not [one for one in box.take_in(raw, COMMAND) if one.to in (SAM, "kim@example.org")]
    assert box.present(SAM) == before


@pytest.mark.acceptance(57)
def test_the_listener_says_the_same_to_members_and_strangers(tmp_path: Path) -> None:
    with RunningSite(settings_for(tmp_path), WEDNESDAY, parts=("smtp",)) as running:
        with running.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump team", zone="UTC", now=running.clock.now())
            joining.add_member(connection, community="pump", email=SAM, now=running.clock.now())
        said = {
            who: [_spoken(running, who, to) for to in (SUBSCRIBE, UNSUBSCRIBE, HELP, COMMAND)] for who in (SAM, NOOR)
        }
    assert said[SAM] == said[NOOR]
    assert [code for replies in said[SAM] for code, _ in replies] == [250] * 12, said


def _spoken(running: RunningSite, sender: str, to: str) -> list[tuple[int, bytes]]:
    """What the listener answers to each step of a mail."""
    with running.smtp() as client:
        client.ehlo()
        said = [client.mail(sender), client.rcpt(to)]
        return [*said, client.data(message(sender, to, "", "", "1@example.org").as_string())]


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_who_writes_to_the_leave_address_is_asked_and_leaves_by_a_reply(any_box: Letterbox) -> None:
    (question,) = any_box.write(UNSUBSCRIBE, "", LI)
    assert question.subject == "Leave Pump team?"
    assert "/u/" in question.text
    assert any_box.member(LI) is not None
    (left,) = any_box.reply(question)
    assert (left.to, left.subject) == (LI, "You have left Pump team")
    assert any_box.member(LI) is None


def test_leaving_by_the_link_and_then_by_a_reply_is_leaving_once(box: Letterbox) -> None:
    (question,) = box.write(UNSUBSCRIBE, "", LI)
    with box.site.site.database.write() as connection:
        membership_id = box.present(LI).membership_id
        joining.remove_member(connection, membership_id=membership_id, now=box.site.clock.now())
    (left,) = box.reply(question)
    assert left.subject == "You have left Pump team"
    assert box.write(UNSUBSCRIBE, "", LI) == []


@pytest.mark.acceptance(49)
def test_who_forges_from_brings_nothing_about_but_few_questions_to_its_owner(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        changes = {"role": "owner"}
        joining.set_member(connection, community="pump", email=ANA, changes=changes, now=box.site.clock.now())
    before = box.present(ANA)
    sent = []
    for _ in range(20):
        for to, text in ((UNSUBSCRIBE, ""), (COMMAND, "leave"), (COMMAND, "delivery none\nname Mallory")):
            sent += box.write(to, text, ANA)
    assert {one.to for one in sent} == {ANA}
    assert len(sent) == 5, "limits.notices_per_day"
    assert box.present(ANA) == before


# --- commands --------------------------------------------------------------------------------------------------------


def test_what_changes_something_waits_for_a_reply_of_the_address_on_record(any_box: Letterbox) -> None:
    (question,) = any_box.write(COMMAND, "Hello,\npause until 3 Nov\ndelivery each\nthanks", SAM)
    assert question.subject == "Pump team: was this you?"
    assert "- no mail until Tue 3 Nov 2026\n- each message as it is written\n" in question.text
    assert any_box.present(SAM).paused_until is None
    (answer,) = any_box.reply(question)
    assert "You get no mail from Pump team until Tue 3 Nov 2026." in answer.text
    assert "From now on you get each message as it is written from Pump team." in answer.text
    sam = any_box.present(SAM)
    assert sam.paused_until == datetime(2026, 11, 3, tzinfo=BERLIN)
    assert sam.delivery == "each"


def test_a_fresh_signature_of_the_members_domain_is_a_yes(any_box: Letterbox) -> None:
    (answer,) = any_box.signed(COMMAND, "pause until 3 Nov\nwhich")
    assert answer.sender == COMMAND
    assert "You get no mail from Pump team until Tue 3 Nov 2026" in answer.text
    assert f"paused until Tue 3 Nov 2026, to {SAM}" in answer.text
    (answer,) = any_box.signed(COMMAND, "resume")
    assert "The pause is over" in answer.text
    assert any_box.present(SAM).paused_until is None


@pytest.mark.acceptance(51)
def test_a_signed_command_that_is_sent_again_is_no_authority(box: Letterbox) -> None:
    raw = box.sign(box.mail(COMMAND, "pause", SAM))
    box.take_in(raw, COMMAND)
    box.signed(COMMAND, "resume")
    (question,) = box.take_in(raw, COMMAND)
    assert question.subject == "Pump team: was this you?"
    assert box.present(SAM).paused_until is None


@pytest.mark.acceptance(51)
def test_a_signed_mail_to_somebody_else_is_no_authority_here(box: Letterbox) -> None:
    """A replay: it was written to another, who sends it on to us."""
    raw = box.sign(box.mail(COMMAND, "leave", SAM, To="friend@example.net"))
    assert [one.subject for one in box.take_in(raw, COMMAND)] == ["Leave Pump team?"]
    raw = box.sign(box.mail(UNSUBSCRIBE, "anything", LI))
    assert [one.subject for one in box.take_in(raw, UNSUBSCRIBE)] == ["Leave Pump team?"]
    assert box.member(SAM) is not None
    assert box.member(LI) is not None


@pytest.mark.acceptance(51)
def test_old_unaligned_and_forged_signatures_are_no_authority(box: Letterbox) -> None:
    other = Signer(domain="example.net")
    raws = [
        box.sign(box.mail(COMMAND, "pause", SAM), box.site.clock.now() - timedelta(days=4)),
        other.sign(box.mail(COMMAND, "pause", SAM), box.site.clock.now()),
        box.sign(box.mail(COMMAND, "pauze", SAM)).replace(b"pauze", b"pause"),
        b"Authentication-Results: lists.example.org; dkim=pass header.d=example.org\r\n"
        + box.mail(COMMAND, "pause", SAM),
    ]
    for raw in raws:
        assert [one.subject for one in box.take_in(raw, COMMAND)] == ["Pump team: was this you?"]
    assert box.present(SAM).paused_until is None


def test_a_command_in_the_subject_is_taken_where_the_text_has_none_and_is_never_proved(box: Letterbox) -> None:
    raw = box.sign(box.mail("pump-request@lists.example.org", "", SAM, "pause until 3 Nov"))
    (question,) = box.take_in(raw, "pump-request@lists.example.org")
    assert "- no mail until Tue 3 Nov 2026" in question.text
    box.reply(question)
    assert box.present(SAM).paused_until is not None


def test_a_question_about_a_day_that_is_over_when_it_is_answered_changes_nothing(box: Letterbox) -> None:
    (question,) = box.write(COMMAND, "pause until 15 Oct", SAM)
    box.site.clock.advance(timedelta(days=2))
    (answer,) = box.reply(question)
    assert "Write a day to come" in answer.text
    assert box.present(SAM).paused_until is None


def test_a_wrong_argument_is_answered_with_what_to_write(box: Letterbox) -> None:
    (answer,) = box.write(COMMAND, "pause until 35 Nov\ndelivery hourly", SAM)
    assert "pause until 3 Nov" in answer.text
    assert "delivery each, delivery daily" in answer.text
    assert "35" not in answer.text
    assert "hourly" not in answer.text


def test_each_setting_is_changed_and_the_answer_says_so(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        rota.add_rota(connection, name="plant", zone="Europe/Berlin", pattern="DO", shifts="D=07:00-19:00")
        rota.add_crew(connection, name="Blue", rota="plant", start_date=datetime(2026, 10, 1, tzinfo=BERLIN).date())
    text = "crew blue\nzone europe/paris\ndigest sun 7:30\nname Sam Okafor\ndelivery DAILY\n"
    (answer,) = box.signed(COMMAND, text)
    for said in (
        "crew is now: Blue",
        "zone is now: Europe/Paris",
        "on Sun 07:30",
        "name is now: Sam Okafor",
        "one mail a day",
    ):
        assert said in answer.text
    sam = box.present(SAM)
    assert (sam.zone, sam.digest_weekday, sam.digest_time) == ("Europe/Paris", 6, "07:30")
    assert (sam.name, sam.delivery, sam.crew_id is not None) == ("Sam Okafor", "daily", True)
    box.signed(COMMAND, "crew none\nzone none\ndigest shift")
    sam = box.present(SAM)
    assert (sam.zone, sam.digest_weekday, sam.crew_id) == (None, None, None)
    (answer,) = box.signed(COMMAND, "crew red")
    assert "there is no such crew. There is: Blue." in answer.text


def test_the_times_of_mail_are_chosen_by_mail_and_told_by_which(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        rota.add_rota(connection, name="plant", zone="Europe/Berlin", pattern="DO", shifts="D=07:00-19:00")
        rota.add_crew(connection, name="Blue", rota="plant", start_date=datetime(2026, 10, 1, tzinfo=BERLIN).date())
    (answer,) = box.signed(COMMAND, "crew blue\ndelivery weekly\ndigest day-off 9:00\none-mail no\nwhich")
    assert "Your digest now comes on your first day off at 09:00." in answer.text
    assert "that are due together are not put into one mail." in answer.text
    assert "It comes at 09:00 on your first day off after Sunday 18:00 (Europe/Berlin)." in answer.text
    sam = box.present(SAM)
    assert (sam.digest_at, sam.digest_weekday, sam.digest_time, sam.one_mail) == ("off", None, "09:00", False)
    (answer,) = box.signed(COMMAND, "delivery each\nquiet off\nwhich")
    assert answer.text.count("what comes between your shifts, when the next one starts") == 2
    assert box.present(SAM).quiet == "off"


def test_a_digest_that_waits_moves_with_a_choice_by_mail(box: Letterbox) -> None:
    box.signed(COMMAND, "digest Tue 10:00")
    sunday = datetime(2026, 10, 18, 18, 0, tzinfo=BERLIN)
    box.site.clock.set(sunday)
    box.site.site.run_due()
    box.signed(COMMAND, "digest Wed 11:00")
    with box.site.site.database.read() as connection:
        due = connection.execute(select(tables.edition_section.c.due_at)).scalars().all()
    assert due == [datetime(2026, 10, 21, 11, 0, tzinfo=BERLIN)]


def test_a_pause_ends_at_the_start_of_the_day_where_the_member_is(box: Letterbox) -> None:
    box.signed(COMMAND, "zone America/New_York\npause until 2026-11-03")
    until = box.present(SAM).paused_until
    assert until is not None
    assert until.isoformat() == "2026-11-03T05:00:00+00:00"


def test_a_pause_without_a_day_lasts_until_it_is_resumed(box: Letterbox) -> None:
    (answer,) = box.signed(COMMAND, "pause")
    assert "until you write `resume`" in answer.text
    assert box.present(SAM).paused_until == joining.UNTIL_RESUMED


def test_leaving_by_a_command_ends_the_mail(box: Letterbox) -> None:
    (answer,) = box.signed(COMMAND, "leave\npause\nwhich")
    assert "You get no more mail from Pump team." in answer.text
    assert "paused" not in answer.text
    assert box.member(SAM) is None


def test_a_member_who_left_before_the_yes_is_left_alone(box: Letterbox) -> None:
    (question,) = box.write(COMMAND, "name Sam\ndelivery each", SAM)
    with box.site.site.database.write() as connection:
        membership_id = box.present(SAM).membership_id
        joining.remove_member(connection, membership_id=membership_id, now=box.site.clock.now())
    assert box.reply(question) == []
    assert box.member(SAM) is None


# --- commands that read ----------------------------------------------------------------------------------------------


@pytest.fixture
def archive(box: Letterbox) -> Letterbox:
    """Posts in the archive of pump, and one in another community's."""
    with box.site.site.database.write() as connection:
        pump = box.site.community().id
        leak = seed.post(connection, pump, subject="Seal leaks", text="The seal of pump 4 leaks.", message_id="leak@x")
        seed.post(connection, pump, parent=leak, subject="Re: Seal leaks", text="We changed the spring.")
        seed.post(connection, pump, subject="Long", text="word " * 10_000)
        ward = seed.community(connection, "ward")
        seed.post(connection, ward, subject="Secret seal", text="Another community's seal.", message_id="secret@x")
    return box


def test_search_and_get_answer_from_the_archive_of_this_community_only(archive: Letterbox) -> None:
    (answer,) = archive.write(COMMAND, "search seal\nget 2, 9", SAM)
    assert answer.to == SAM
    assert "2 posts found" in answer.text
    assert "#1  Seal leaks\nMaria Lindgren, Mon 2 Mar 2026\nhttp://127.0.0.1:8080/c/pump/m/leak@x/" in answer.text
    assert "We changed the spring." in answer.text
    assert "Pump team has no post 9." in answer.text
    assert "Secret" not in answer.text


def test_a_long_post_is_cut_and_says_where_the_rest_is(archive: Letterbox) -> None:
    (answer,) = archive.write(COMMAND, "get 3", SAM)
    assert len(answer.text) < 25_000
    assert "The rest stands in the archive." in answer.text


@pytest.mark.acceptance(49)
def test_reads_are_answered_to_the_address_on_record_and_few_a_day(archive: Letterbox) -> None:
    with archive.site.site.database.write() as connection:
        joining.add_address(connection, person_id=archive.present(SAM).person_id, email="sam.private@example.org")
    sent = [one for _ in range(8) for one in archive.write(COMMAND, "get 1", "sam.private@example.org")]
    assert [one.to for one in sent] == [SAM] * 5
    (proved,) = archive.signed(COMMAND, "get 1")
    assert proved.to == SAM, "what is proved is not limited"


@pytest.mark.parametrize("text", ["get 1", "search seal", "which", "pause", "leave", "help"])
def test_who_is_no_member_gets_help_and_nothing_else(archive: Letterbox, text: str) -> None:
    (answer,) = archive.write(COMMAND, text, NOOR)
    assert (answer.to, answer.subject) == (NOOR, "Pump team: help")
    assert SUBSCRIBE in answer.text
    assert "seal" not in answer.text.lower()


def test_who_is_no_member_may_join_by_a_command(box: Letterbox) -> None:
    (question,) = box.write("pump-request@lists.example.org", "subscribe", NOOR)
    box.reply(question)
    assert box.member(NOOR) is not None


def test_a_member_who_asks_to_join_by_a_command_is_told(box: Letterbox) -> None:
    (answer,) = box.signed(COMMAND, "subscribe")
    assert "You are a member of Pump team already." in answer.text


def test_which_lists_the_communities_of_the_person(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        now = box.site.clock.now()
        joining.add_community(connection, name="ward", title="Ward 5", zone="UTC", now=now)
        joining.add_community(connection, name="other", title="Other", zone="UTC", now=now)
        joining.add_member(connection, community="ward", email=SAM, delivery="daily", now=now)
    (answer,) = box.write(COMMAND, "which", SAM)
    assert "Pump team (pump@lists.example.org)\n    one mail a week, to sam@example.org" in answer.text
    assert "Ward 5 (ward@lists.example.org)\n    one mail a day" in answer.text
    assert "Other" not in answer.text


def test_no_line_of_our_mails_is_a_command(box: Letterbox) -> None:
    """A mail program that quotes them without marks must not have it done."""
    (help_mail,) = box.write(HELP, "", SAM)
    (welcome,) = box.reply(ask_to_join(box))
    assert "pause until 3 Nov" in help_mail.text
    (question,) = box.write(COMMAND, "pause\nleave\ndelivery each", SAM)
    (answer,) = box.reply(question)
    box.signed(COMMAND, "resume", LI)
    for mail in (help_mail, welcome, question, answer, *box.answers()):
        lines = [line for line in mail.text.split("\n") if line]
        assert lines
        for line in lines:
            assert commands.read(line, WEDNESDAY.date()) == [Problem(hint="")], line


@pytest.mark.parametrize(
    ("changes", "said", "unsaid"),
    [
        ({}, "To write to everybody: pump@lists.example.org", "looks at"),
        ({"newcomers": "2"}, "Somebody looks at what new members write", "Only the people"),
        ({"posting": "announce"}, "Only the people who run it write", "To write to everybody"),
    ],
)
def test_the_welcome_says_who_may_write(box: Letterbox, changes: dict[str, str], said: str, unsaid: str) -> None:
    with box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", changes, box.site.clock.now())
    (welcome,) = box.reply(ask_to_join(box))
    assert said in welcome.text
    assert unsaid not in welcome.text


@pytest.mark.acceptance(53)
def test_what_is_not_understood_brings_help_once_a_day(box: Letterbox) -> None:
    sent = [one for _ in range(3) for one in box.write(COMMAND, "Please do something useful", SAM)]
    assert [one.subject for one in sent] == ["Pump team: help"]
    assert "We did not understand" in sent[0].text
    box.site.clock.advance(timedelta(days=1))
    assert len(box.write(COMMAND, "Please do something useful", SAM)) == 1


@pytest.mark.acceptance(53)
def test_html_quoted_text_signatures_and_attachments_hold_no_commands(box: Letterbox) -> None:
    html = EmailMessage()
    html["From"], html["To"], html["Message-ID"] = SAM, COMMAND, "<html@example.org>"
    html.set_content("<p>leave</p>", subtype="html")
    (answer,) = box.take_in(html.as_bytes(), COMMAND)
    assert "plain text" in answer.text
    attached = EmailMessage()
    attached["From"], attached["To"], attached["Message-ID"] = SAM, COMMAND, "<attached@example.org>"
    attached.set_content("See the file.\n")
    attached.add_attachment("leave\n", filename="commands.txt")
    box.take_in(attached.as_bytes(), COMMAND)
    box.write(COMMAND, "Hello\n\nOn Mon, 12 Oct 2026 at 09:02, Ana wrote:\n> leave\n", SAM)
    box.write(COMMAND, "> leave\n", SAM)
    box.write(COMMAND, "Hello\n-- \nleave\n", SAM)
    box.write(COMMAND, "Hello\n" * 10 + "leave\n", SAM)
    assert box.open_questions() == 0
    assert box.answers() == []


HOSTILE = (
    *("help ../../../etc/passwd", "help ../x", "help %2e%2e", "help $(id)", "help {{7*7}}", "help \0x", "{{7*7}}"),
    *("$(id)", "which ../x", "h" * 10_000, "help " + "x" * 10_000, "zone ../../../etc/passwd", "zone /etc/passwd"),
    *("zone Europe/../../x", "zone " + "x" * 10_000, "zone {{7*7}}", "crew ../x", "crew {{7*7}}"),
    *("name {{7*7}} http://x", "get ../../1", "get " + "9" * 10_000),
)


@pytest.mark.acceptance(54)
def test_hostile_commands_are_plainly_unknown_change_nothing_and_are_not_repeated(box: Letterbox) -> None:
    before = box.present(SAM)
    for text in HOSTILE:
        box.site.clock.advance(timedelta(days=1))  # help comes once a day
        (answer,) = box.signed(COMMAND, text)
        for word in ("passwd", "root:", "49", "uid=", "xxx", "hhh", "999", "..", "$(", "{{"):
            assert word not in answer.text, text
    assert box.present(SAM) == before


# --- addresses -------------------------------------------------------------------------------------------------------

NEW = "sam.new@example.net"


def test_mail_goes_to_a_new_address_once_it_confirms_and_the_old_one_is_told(any_box: Letterbox) -> None:
    question, answer = any_box.signed(COMMAND, f"address {NEW}")
    assert (question.to, question.subject) == (NEW, "Pump team: is this your address?")
    assert answer.to == SAM
    assert f"We sent a mail to {NEW}" in answer.text
    assert any_box.present(SAM).email == SAM
    done, told = any_box.reply(question)
    assert (done.to, told.to) == (NEW, SAM)
    assert any_box.present(NEW).email == NEW
    assert any_box.present(SAM).membership_id == any_box.present(NEW).membership_id


@pytest.mark.acceptance(49)
def test_without_a_yes_of_the_member_nobody_is_asked_at_the_new_address(box: Letterbox) -> None:
    (question,) = box.write(COMMAND, f"address {NEW}", SAM)
    assert question.to == SAM
    asked, _answer = box.reply(question)
    assert asked.to == NEW
    box.reply(asked)
    assert box.present(SAM).email == NEW


def test_an_address_change_is_for_all_communities_whose_mail_went_to_the_old_one(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        now = box.site.clock.now()
        joining.add_community(connection, name="ward", title="Ward 5", zone="UTC", now=now)
        joining.add_member(connection, community="ward", email=SAM, now=now)
    question, _ = box.signed(COMMAND, f"address {NEW}")
    done, _ = box.reply(question)
    assert "The mail of Pump team, Ward 5 now goes to" in done.text
    found = box.member(SAM, "ward")
    assert found is not None
    assert found.email == NEW


def test_a_second_address_may_be_written_from_and_be_forgotten(box: Letterbox) -> None:
    question, _ = box.signed(COMMAND, f"also {NEW}")
    box.reply(question)
    assert box.present(NEW).email == SAM
    box.site.take_in(message(NEW, PUMP, "Hello", "From my other address.\n", "other@example.org"))
    assert box.site.count("post") == 1
    (answer,) = box.signed(COMMAND, f"forget {NEW}")
    assert f"{NEW} is no longer an address of yours" in answer.text
    assert box.member(NEW) is None
    box.site.clock.advance(timedelta(days=1))
    question, _ = box.signed(COMMAND, f"also {NEW}")
    box.reply(question)
    assert box.present(NEW).email == SAM, "what was forgotten may come back"


def test_an_address_of_ones_own_is_used_at_once(box: Letterbox) -> None:
    question, _ = box.signed(COMMAND, f"also {NEW}")
    box.reply(question)
    (answer,) = box.signed(COMMAND, f"address {NEW}\nalso {NEW}")
    assert f"The mail of Pump team now goes to {NEW}" in answer.text
    assert "is known as an address of yours already" in answer.text
    assert box.present(SAM).email == NEW


def test_the_address_that_mail_goes_to_is_not_forgotten(box: Letterbox) -> None:
    (answer,) = box.signed(COMMAND, f"forget {SAM}\nforget {LI}")
    assert f"Nothing was changed: The mail of Pump team goes to {SAM}." in answer.text
    assert "is no address of that member" in answer.text
    assert box.member(SAM) is not None
    assert box.member(LI) is not None


def test_the_address_of_another_member_is_refused(box: Letterbox) -> None:
    question, _ = box.signed(COMMAND, f"address {LI}")
    (answer,) = box.reply(question)
    assert (answer.to, answer.subject) == (LI, "Pump team: nothing was done")
    assert box.present(LI).membership_id != box.present(SAM).membership_id
    assert box.present(SAM).email == SAM


def test_an_address_whose_owner_left_changes_hands_by_its_own_yes(box: Letterbox) -> None:
    with box.site.site.database.write() as connection:
        membership_id = box.present(LI).membership_id
        joining.remove_member(connection, membership_id=membership_id, now=box.site.clock.now())
    question, _ = box.signed(COMMAND, f"address {LI}")
    box.reply(question)
    assert box.present(LI).name == "Sam"


@pytest.mark.acceptance(58)
def test_a_member_cannot_bomb_an_address_either(box: Letterbox) -> None:
    sent = [one for n in range(6) for one in box.signed(COMMAND, f"also victim+{n}@example.net") if one.to != SAM]
    assert len(sent) == 1
    (answer,) = box.signed(COMMAND, "also victim@example.net")
    assert "Please ask again tomorrow" in answer.text


def test_the_question_to_a_new_address_does_not_tell_whose_it_would_be(box: Letterbox) -> None:
    question, _ = box.signed(COMMAND, f"address {NEW}")
    assert "sam@" not in question.message.as_string()
