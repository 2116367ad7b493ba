"""What members are told of a meeting: item by item, in one mail with what else is due, and what changed said first."""

import re
from datetime import date, datetime
from email import message_from_bytes, policy
from itertools import takewhile

import pytest
from sqlalchemy import select

from tests import digest_site, meeting_site
from tests.digest_site import SITE, TOKENS
from tests.meeting_site import FIRST
from tests.test_invites import DAY, HOUR, NOW, Team, berlin
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import agenda_sentences, editions, render
from tidings.digests.lint import lint
from tidings.digests.meetings import agenda, changes, diary, invites, series, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.weeks import Weeks
from tidings.digests.words import words as spoken
from tidings.mailer import minutes

MORNING = berlin(12, 8)
"""When Ana, who has no crew, has the agenda; input ends at 20:00."""


@pytest.fixture
def team(sqlite_database: Database) -> Team:
    return Team(sqlite_database)


def topic(team: Team, title: str, by: str = "abe", at: datetime = NOW, **values: object) -> int:
    with team.database.write() as connection:
        author = team.people[by]
        found = meeting_site.topic(connection, team.pump, team.meeting, title, by=author, at=at, **values)  # type: ignore[arg-type]
    return found.id


def writes(team: Team, topic_id: int, text: str, by: str, at: datetime = NOW + HOUR) -> None:
    with team.database.write() as connection:
        found = topics.by_id(connection, topic_id)
        assert found is not None
        meeting_site.write(connection, team.pump, found.message_id, text, by=team.people[by], at=at)


def mails(team: Team, name: str) -> list[bytes]:
    """Every edition to a member."""
    edition = tables.edition.c
    with team.database.read() as connection:
        query = select(edition.id).where(edition.recipient == f"{name}@example.org").order_by(edition.id)
        ids = connection.execute(query).scalars().all()
        return [render.assemble(connection, one, site=SITE, tokens=TOKENS) for one in ids]


def text_of(raw: bytes) -> str:
    body = message_from_bytes(raw, policy=policy.default).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def subject_of(raw: bytes) -> str:
    return str(message_from_bytes(raw, policy=policy.default)["Subject"])


def words(text: str) -> str:
    """A text without its line breaks, of which an item has some."""
    return " ".join(text.split())


def block(text: str, title: str) -> str:
    """What stands under a heading of a text."""
    lines = text.splitlines()
    below = lines[lines.index(title) + 1 :]
    return words("\n".join(takewhile(lambda line: not line.isupper(), below)))


def told(team: Team, name: str = "ana", at: datetime = MORNING) -> str:
    """The last mail to a member when the agenda has gone out."""
    team.work(at)
    return text_of(mails(team, name)[-1])


# --- items -----------------------------------------------------------------------------------------------------------


def test_an_item_says_who_asks_what_for_how_long_and_who_wants_it_too(team: Team) -> None:
    one = topic(team, "Seal failures", text="Two leak again. Why?", minutes=20, lead=team.people["bea"])
    with team.database.write() as connection:
        topics.second(connection, one, team.people["bea"].person_id, NOW)
    found = block(told(team), "ON THE AGENDA")
    assert "Bea: Seal failures (20 min, led by Bea, 1 more wants it) Two leak again. Why? reply:" in found


def test_what_is_the_readers_own_says_you(team: Team) -> None:
    one = topic(team, "Spare stock", by="ana")
    writes(team, one, "We have two springs left.", by="ana")
    writes(team, one, "I have a third.", by="abe")
    found = block(told(team), "ON THE AGENDA")
    assert "You: Spare stock" in found
    assert "* You, Sat 10 Oct: We have two springs left." in found
    assert "* Abe, Sat 10 Oct: I have a third." in found
    assert "Ana" not in found


def test_nobody_is_called_you_in_the_agenda_of_another(team: Team) -> None:
    team.join("fay")
    topic(team, "Spare stock", by="ana")
    team.work(MORNING)
    # Both have it at the same hour, with the same shifts: none.
    mine, hers = (block(text_of(mails(team, name)[-1]), "NEXT MEETING") for name in ("ana", "fay"))
    assert "Spare stock (you)" in mine
    assert "Spare stock (Ana)" in hers


def test_what_is_written_of_the_meeting_itself_stands_under_it(team: Team) -> None:
    with team.database.write() as connection:
        under = agenda.message_id(team.pump, team.meeting, SITE.domain)
        meeting_site.write(connection, team.pump, under, "Could we begin with line 4?", by=team.people["abe"])
        meeting_site.write(connection, team.pump, under, "I would like that.", by=team.people["ana"])
    found = block(told(team), "NEXT MEETING")
    assert "* Abe, Sat 10 Oct: Could we begin with line 4?" in found
    assert "* You, Sat 10 Oct: I would like that." in found


def test_the_newest_five_inputs_are_printed_and_the_others_counted(team: Team) -> None:
    one = topic(team, "Seal failures")
    for number in range(8):
        writes(team, one, f"Input {number}.", by="bea", at=NOW + number * HOUR)
    found = block(told(team), "ON THE AGENDA")
    assert re.findall(r"Input (\d)", found) == ["3", "4", "5", "6", "7"]
    assert "+ 3 more before that" in found


def test_the_blocks_name_their_topics_and_what_has_no_time_says_so(team: Team) -> None:
    topic(team, "Seal failures", minutes=15, lead=team.people["bea"])
    for title, length in (("Spare stock", 20), ("Night lamps", 15)):
        topic(team, title, minutes=length)
    text = told(team)
    found = block(text, "NEXT MEETING")
    assert "15 min: input by a discussion leader: Seal failures (Bea)" in found
    assert "30 min: discussion, and what members need: Spare stock (Abe), Night lamps (Abe)" in found
    assert "(15 min, if there is time)" in block(text, "ON THE AGENDA")


def test_it_says_where_and_when_it_is_whether_the_reader_is_at_work_and_until_when_to_write(team: Team) -> None:
    found = block(told(team, "abe", berlin(12, 7)), "NEXT MEETING")
    assert found.startswith(
        "#1 Pump hour: Tue 13 Oct 14:00 to 15:00 (your time). You are at work then (07:00-19:00). Where: Room 2"
    )
    assert "What you write by Mon 20:00 is printed under its item." in found


def test_a_meeting_that_is_not_called_like_its_community_says_its_name(team: Team) -> None:
    assert block(told(team), "NEXT MEETING").startswith("#1 Pump hour: Tue 13 Oct 14:00 to 15:00")
    with team.database.write() as connection:
        series.change(connection, team.series, {"title": "Pump team"})
    team.join("fay", MORNING)
    assert block(told(team, "fay", MORNING + DAY), "NEXT MEETING").startswith("#1 Tue 13 Oct 14:00 to 15:00")


def test_of_two_sessions_each_reader_has_their_own_and_is_told_of_the_other(sqlite_database: Database) -> None:
    team = Team(sqlite_database, ("14:00=A", "22:00=B"))
    for name, own, other in (
        ("abe", "Tue 13 Oct 14:00 to 15:00", "22:00"),
        ("bea", "Tue 13 Oct 22:00 to 23:00", "14:00"),
    ):
        found = block(told(team, name, berlin(12, 19)), "NEXT MEETING")
        assert own in found
        assert f"The same meeting for other crews: Tue 13 Oct {other}." in found


def test_who_works_in_the_second_session_is_told_when_they_lead_and_when_they_met(sqlite_database: Database) -> None:
    """Not when the first one is, at which they are not."""
    team = Team(sqlite_database, ("14:00=A", "+1 05:00=B"))
    with team.database.write() as connection:
        meeting_site.gives(connection, team.meeting, "lead", team.people["bea"])
    assert "You lead the discussion: Pump hour, Wed 14 Oct 05:00" in told(team, "bea", berlin(12, 19))
    noted(team, FIRST + HOUR, "decision", "We keep the old seals")
    team.work(berlin(13, 19))
    text = told(team, "bea", berlin(19, 19))
    assert "Meeting of Wed 14 Oct 05:00" in block(text, "THE MEETING BEFORE")


# --- one mail --------------------------------------------------------------------------------------------------------


def test_a_digest_and_an_agenda_that_are_due_together_are_one_mail(team: Team) -> None:
    team.join("sam", NOW - DAY, delivery="weekly")
    topic(team, "Seal failures", at=NOW - HOUR)
    team.work(berlin(11, 18) + HOUR)
    text = told(team, "sam", MORNING)
    assert len(mails(team, "sam")) == 1
    assert "PUMP TEAM WEEKLY" in text
    assert "Abe: Seal failures" in block(text, "ON THE AGENDA")
    (raw,) = mails(team, "sam")
    assert b"text/calendar" in raw
    assert lint(raw) == []


def asks(team: Team, subject: str = "Old coupling") -> str:
    with team.database.write() as connection:
        text = "Does anybody have the drawing of the old coupling?"
        when = NOW - 8 * DAY
        return digest_site.post(connection, team.pump.id, text, author="tom", subject=subject, date=when).message_id


def offered(team: Team, message_id: str) -> int:
    with team.database.write() as connection:
        meeting = team.meeting
        found = topics.propose(
            connection,
            series_id=meeting.series.id,
            meeting_id=meeting.id,
            kind="question",
            state="offered",
            title="Old coupling",
            text="Does anybody have the drawing of the old coupling?",
            message_id=message_id,
            now=NOW,
        )
        assert found is not None
        return found.id


def test_an_open_question_stands_in_one_block(team: Team) -> None:
    """Unanswered as long as nobody wants it on the agenda, and then there."""
    team.join("sam", NOW - 9 * DAY, delivery="weekly")
    team.join("ina", NOW - 9 * DAY, delivery="weekly", crew="A")
    one = offered(team, asks(team))
    team.work(berlin(11, 18) + HOUR)
    text = told(team, "ina", berlin(12, 7))
    assert "Old coupling" in block(text, "STILL NEEDS AN ANSWER")
    assert "ON THE AGENDA" not in text
    with team.database.write() as connection:
        topics.second(connection, one, team.people["ana"].person_id, NOW)
    text = told(team, "sam", MORNING)
    assert "STILL NEEDS AN ANSWER" not in text
    assert "Old coupling (10 min, a question that nobody has answered, 1 more wants it)" in block(text, "ON THE AGENDA")
    assert len(re.findall("drawing of the old coupling", words(text))) == 1


def test_what_is_only_offered_says_how_it_comes_on_the_agenda(team: Team) -> None:
    offered(team, asks(team))
    assert "reply +1 to have it on the agenda" in block(told(team), "ON THE AGENDA")


# --- what changed ----------------------------------------------------------------------------------------------------


def moved(team: Team, now: datetime, to: datetime | None = None, place: str = "") -> None:
    with team.database.write() as connection:
        meeting = team.meeting
        after = diary.move(connection, meeting, meeting.sittings[0], to, now, place=place)
        invites.tell_again(connection, team.pump, after, now, site=SITE)


def noted(team: Team, at: datetime, kind: str, text: str, topic_id: int | None = None, **more: object) -> None:
    with team.database.write() as connection:
        lines = [(kind, text, {"topic_id": topic_id, **more})]
        meeting_site.minutes(connection, team.pump, team.meeting, lines, by=team.people["abe"], at=at)  # type: ignore[arg-type]
        if topic_id is not None:
            topics.settle(connection, topic_id, "done")
        invites.tell_later_sessions(connection, team.pump, team.meeting, at, site=SITE)


def test_a_meeting_that_moved_says_so_and_when_it_is_now(team: Team) -> None:
    told(team)
    moved(team, MORNING + HOUR, FIRST + 3 * HOUR)
    text = told(team, at=MORNING + 2 * HOUR)
    found = block(text, "NEXT MEETING")
    assert "Tue 13 Oct 17:00 to 18:00" in found
    assert "This meeting was moved; this is when and where it is now." in found
    assert subject_of(mails(team, "ana")[-1]) == "Pump team agenda: meeting moved to Tue 17:00"


def test_a_meeting_that_is_cancelled_says_that_and_nothing_else(team: Team) -> None:
    topic(team, "Seal failures")
    told(team)
    with team.database.write() as connection:
        meeting = diary.cancel(connection, team.meeting, MORNING + HOUR)
        invites.tell_again(connection, team.pump, meeting, MORNING + HOUR, site=SITE)
    text = told(team, at=MORNING + 2 * HOUR)
    assert "THIS MEETING IS CANCELLED. What was on its agenda goes on the next one." in block(text, "NEXT MEETING")
    assert "ON THE AGENDA" not in text and "Coming?" not in text
    raw = mails(team, "ana")[-1]
    assert subject_of(raw) == "Pump team agenda: no meeting Tue 14:00"
    assert b"METHOD:CANCEL" in raw or b"method=CANCEL" in raw


def test_a_meeting_that_is_cancelled_while_agendas_are_composed_is_told_as_such_by_the_next(team: Team) -> None:
    fay, weeks = team.join("fay"), Weeks(MORNING)
    team.invite()

    def compose(person_id: int) -> None:
        with team.database.write() as connection:
            composer = editions.Composer(connection, MORNING, site=SITE, weeks=weeks)
            assert composer.compose([person_id]) == ["composed"]

    compose(team.people["ana"].person_id)
    with team.database.write() as connection:
        changes.cancel(connection, team.meeting, MORNING, site=SITE)
    compose(fay.person_id)
    assert "CANCELLED" not in text_of(mails(team, "ana")[-1])
    assert "THIS MEETING IS CANCELLED" in words(text_of(mails(team, "fay")[-1]))


def test_the_last_agenda_says_that_it_is_the_last(team: Team) -> None:
    told(team)
    with team.database.write() as connection:
        meeting_site.gives(connection, team.meeting, "host", team.people["ana"])
    text = told(team, at=berlin(12, 20))
    found = block(text, "NEXT MEETING")
    assert "This is the agenda as it stands; what is written from now on goes with the minutes." in found
    assert "is printed under its item" not in found
    assert "You host the meeting: Pump hour, Tue 13 Oct 14:00" in text


def test_what_came_after_the_last_agenda_is_with_what_came_of_the_meeting(team: Team) -> None:
    one = topic(team, "Seal failures")
    writes(team, one, "In time.", by="bea", at=berlin(12, 19))
    writes(team, one, "Too late.", by="bea", at=berlin(12, 21))
    noted(team, FIRST + HOUR, "decision", "We keep the old seals", one)
    writes(team, one, "After it.", by="bea", at=FIRST + 3 * HOUR)
    found = block(told(team, at=berlin(19, 8)), "THE MEETING BEFORE")
    assert "Meeting of Tue 13 Oct 14:00 = Decided: We keep the old seals" in found
    assert "Too late." in found and "After it." in found
    assert "In time." not in found


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("decision", {}, "= Decided: Order the springs"),
        ("answer", {}, "= Answered: Order the springs"),
        ("note", {}, "= Noted: Order the springs"),
        ("action", {}, "= Action: Order the springs"),
        ("action", {"due_on": date(2026, 10, 16)}, "= Action by Fri 16 Oct: Order the springs"),
    ],
)
def test_what_an_earlier_session_noted_stands_under_its_item(
    sqlite_database: Database, kind: str, more: dict[str, object], said: str
) -> None:
    team = Team(sqlite_database, ("14:00=A", "22:00=B"))
    one = topic(team, "Seal failures")
    told(team, "bea", berlin(12, 19))
    noted(team, FIRST + HOUR, kind, "Order the springs", one, **more)
    text = told(team, "bea", berlin(13, 19))
    assert "What was noted in an earlier session stands under its item." in block(text, "NEXT MEETING")
    assert said in block(text, "ON THE AGENDA")
    assert "is printed under its item" not in block(text, "NEXT MEETING")  # that is over


# --- reminders -------------------------------------------------------------------------------------------------------


def test_who_has_a_role_and_an_action_is_reminded_of_them(team: Team) -> None:
    noted(team, NOW, "action", "Order the springs", owner_id=team.people["ana"].person_id, due_on=date(2026, 10, 11))
    with team.database.write() as connection:
        meeting_site.gives(connection, team.meeting, "scribe", team.people["ana"])
    text = told(team, at=NOW + HOUR)
    raw = mails(team, "ana")[-1]
    assert subject_of(raw) == "Pump team reminder: your turn Tue 13 Oct 14:00"
    found = block(text, "YOUR TURN")
    assert "You take the notes: Pump hour, Tue 13 Oct 14:00" in found
    assert "Minutes: reply after the meeting with lines like" in found
    assert "Your action by Sun 11 Oct: Order the springs" in words(text)
    assert "reply with done once it is." in words(text)
    assert b"text/calendar" not in raw
    assert lint(raw) == []


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
def test_the_lines_of_minutes_that_a_scribe_is_shown_are_read(language: str) -> None:
    shown = re.findall(r"`([^`]+)`", agenda_sentences.scribe(spoken(language, "Europe/Berlin", 2026)))
    found = minutes.read("\n".join(line.replace("...", "the springs") for line in shown), date(2026, 10, 13))
    assert found is not None
    assert [line.kind for line in found.lines] == ["decision", "action", "answer", "carry"]
    assert (found.lines[1].owner, found.lines[1].due) == ("raj", date(2026, 10, 16))
    assert found.lines[3].item == 3


# --- languages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de", "es", "fr"])
@pytest.mark.parametrize("change", ["", "moved", "cancelled", "final", "noted"])
def test_an_agenda_is_told_in_every_language_and_nothing_is_wrong_with_it(
    sqlite_database: Database, language: str, change: str
) -> None:
    team = Team(sqlite_database, ("14:00=A", "22:00=B"))
    with team.database.write() as connection:
        for name in ("abe", "bea"):
            email, changes = f"{name}@example.org", {"language": language}
            joining.set_member(connection, community="pump", email=email, changes=changes, now=NOW)
        meeting_site.gives(connection, team.meeting, "scribe", team.people["bea"])
    first = topic(team, "Seal failures", minutes=15, lead=team.people["abe"], text="Two leak again. Why?")
    for title in ("Spare stock", "Night lamps"):
        topic(team, title, minutes=20)
    writes(team, first, "On line 3 it was the spring.", by="bea")
    told(team, "bea", berlin(12, 19))
    _change(team, change, first)
    team.work(berlin(13, 19))
    raw = mails(team, "bea")[-1]
    assert lint(raw) == []
    text = text_of(raw)
    assert "%(" not in text
    english = ("This meeting", "Coming?", "Where:", "your time", "if there is time", "Scribe", "other crews")
    assert [one for one in english if one in text] == [] or language == "en"


def _change(team: Team, change: str, first: int) -> None:
    now: Meeting = team.meeting
    match change:
        case "moved":
            with team.database.write() as connection:
                meeting = team.meeting
                after = diary.move(connection, meeting, meeting.sittings[1], FIRST + 9 * HOUR, FIRST - 3 * HOUR)
                invites.tell_again(connection, team.pump, after, FIRST - 3 * HOUR, site=SITE)
        case "cancelled":
            with team.database.write() as connection:
                after = diary.cancel(connection, now, FIRST - 3 * HOUR)
                invites.tell_again(connection, team.pump, after, FIRST - 3 * HOUR, site=SITE)
        case "noted":
            noted(team, FIRST + HOUR, "decision", "We keep the old seals", first)
