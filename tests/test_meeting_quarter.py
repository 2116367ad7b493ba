"""A quarter of weekly meetings: who gets which agenda when, and where what members wrote, proposed and noted stands.

Thirteen meetings on SQLite, three of them on PostgreSQL; each is played once and looked at by every test.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.calendars import READERS
from tests.postgres import Postgres
from tests.quarter import (
    FIRST,
    HOUR,
    MEMBERS,
    NEWCOMER,
    NOTICE,
    SECOND,
    SYDNEY,
    WILLING,
    Mail,
    Plan,
    Proposed,
    Quarter,
    address,
    parsed,
    play,
)
from tests.small_site import BERLIN, Makings, makings
from tests.test_events import elsewhere
from tidings.communities.roster import Shift
from tidings.digests import fragments
from tidings.digests.lint import lint
from tidings.digests.meetings import roles
from tidings.digests.select import SETTLED
from tidings.digests.stored import Entry

FIXTURES = (makings,)
pytestmark = pytest.mark.slow

PLANS = {"sqlite": Plan(), "postgresql": Plan(meetings=3, moved=2, cancelled=3, joined=99)}
SLEEP = timedelta(hours=9)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def quarter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, makings: Makings
) -> Iterator[Quarter]:
    """The quarter when it is over."""
    folder, plan = tmp_path_factory.mktemp("quarter"), PLANS[request.param]
    if request.param == "sqlite":
        yield from _played(Quarter(folder, makings, plan))
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield from _played(Quarter(folder, makings, plan, url))


def _played(quarter: Quarter) -> Iterator[Quarter]:
    with quarter.site:
        play(quarter)
        yield quarter


# --- what is asked of it ---------------------------------------------------------------------------------------------


def numbers(quarter: Quarter) -> range:
    """The meetings of the quarter by number."""
    return range(1, quarter.plan.meetings + 1)


def agendas(quarter: Quarter) -> Iterator[tuple[int, Mail]]:
    """Every mail with an invitation, beside the number of its meeting."""
    by_id = {one.id: one.number for one in quarter.all_meetings()}
    for mail in quarter.mails:
        if mail.agenda is not None and mail.meeting_id is not None:
            yield by_id[mail.meeting_id], mail


def rhythm(mail: Mail) -> str:
    """Whether a mail is a digest, an agenda or a reminder."""
    return mail.printed.sections[0].heading.rhythm


def change(mail: Mail) -> str:
    """What is said first of the meeting whose agenda a mail is."""
    assert mail.agenda is not None
    return mail.agenda.change


def session(quarter: Quarter, name: str, number: int) -> int:
    """Which of the two sessions of a meeting a member is asked to."""
    crew = quarter.present(address(name)).crew_id
    meeting = quarter.meeting(number)
    return next((place for place, one in enumerate(meeting.sittings) if crew in one.session.crew_ids), 0)


def asked(quarter: Quarter, number: int) -> list[str]:
    """Who should have the agenda of a meeting: who is a member by the time that it begins."""
    there = quarter.joined_at is not None and quarter.joined_at < quarter.starts(number)[0]
    return [*MEMBERS, "ana", "li", "sam", *([NEWCOMER] if there else [])]


def shifts(quarter: Quarter, name: str, moment: datetime) -> list[Shift]:
    """The shifts of a member around a moment."""
    roster = quarter.roster(name)
    if roster is None:
        return []
    return list(roster.shifts((moment - timedelta(days=4)).astimezone(roster.zone).date(), 8))


def at_shift_start(quarter: Quarter, name: str, moment: datetime) -> bool:
    return any(one.start.astimezone(UTC) == moment for one in shifts(quarter, name, moment))


def at_work(quarter: Quarter, name: str, moment: datetime) -> bool:
    return any(one.start.astimezone(UTC) <= moment < one.end.astimezone(UTC) for one in shifts(quarter, name, moment))


def asleep(quarter: Quarter, name: str, moment: datetime) -> bool:
    """Whether a member sleeps after a night shift: within nine hours of its end, and not at work again."""
    ends = [one.end.astimezone(UTC) for one in shifts(quarter, name, moment) if one.letter == "N"]
    return any(end <= moment < end + SLEEP for end in ends) and not at_work(quarter, name, moment)


def words(kind: str, told: Iterable[str]) -> list[str]:
    """The words of a kind in what is told, such as Input001."""
    return [word for one in told for word in re.findall(rf"\b(?:{kind})\d+\b", one)]


def topic_of(quarter: Quarter, entry: Entry) -> Proposed | None:
    found = words("Topic", [entry.subject])
    return next(one for one in quarter.proposed if one.word == found[0]) if found else None


# --- who is told when ------------------------------------------------------------------------------------------------


def test_every_member_gets_the_agenda_of_each_meeting_once(quarter: Quarter) -> None:
    """What follows the first is told apart: it says that the meeting changed, or it is for who leads, or was noted."""
    for number in numbers(quarter):
        for name in asked(quarter, number):
            first, *more = quarter.agendas(number, name)
            assert first.at < quarter.starts(number)[session(quarter, name, number)], (number, name)
            assert all(change(one) in ("moved", "cancelled", "final", "noted") for one in more), (number, name)
    for mail in quarter.mails:
        assert len(mail.of("meeting")) <= 1


def test_who_has_a_crew_gets_it_when_a_shift_of_theirs_starts(quarter: Quarter) -> None:
    first = [
        (n, name, told[0]) for n in numbers(quarter) for name in asked(quarter, n) if (told := quarter.agendas(n, name))
    ]
    by_shift = [one for one in first if quarter.roster(one[1]) is not None and one[1] != "bo"]
    others = [(n, name) for n, name, mail in by_shift if not at_shift_start(quarter, name, mail.at)]
    assert len(by_shift) > 9 * quarter.plan.meetings
    assert others == []


def test_who_has_no_crew_or_chose_a_day_gets_it_at_their_hour(quarter: Quarter) -> None:
    for number in numbers(quarter):
        for name, zone, hour in (
            ("ana", BERLIN, "08:00"),
            ("sam", BERLIN, "08:00"),
            ("raj", BERLIN, "08:00"),
            ("tess", SYDNEY, "08:00"),
            ("bo", BERLIN, "17:00"),
        ):
            for mail in quarter.agendas(number, name)[:1]:
                assert f"{mail.at.astimezone(zone):%H:%M}" == hour, (number, name, mail.at)


def test_no_mail_comes_into_the_sleep_after_a_night_shift(quarter: Quarter) -> None:
    assert [(one.to, one.at, one.printed.subject) for one in quarter.mails if asleep(quarter, one.to, one.at)] == []


def test_most_have_it_while_input_is_still_printed_under_its_items(quarter: Quarter) -> None:
    late = []
    for number in numbers(quarter):
        for name in asked(quarter, number):
            until = quarter.starts(number)[0] - NOTICE
            late += [(number, name) for mail in quarter.agendas(number, name)[:1] if mail.at > until]
    assert late == []


# --- changes ---------------------------------------------------------------------------------------------------------


def test_that_a_session_moved_is_told_once_to_those_who_are_asked_to_it(quarter: Quarter) -> None:
    number = quarter.plan.moved
    moved_at = quarter.changed[number]
    for name in asked(quarter, number):
        told = quarter.agendas(number, name)
        before = [one for one in told if one.at <= moved_at]
        after = [one for one in told if one.at > moved_at]
        leads = name in quarter.held(number).values()
        assert len(before) <= 1
        changes = [change(one) for one in after if change(one) != "noted"]
        if session(quarter, name, number) == 1:  # theirs is as it was
            assert changes == ["final"] * (leads and bool(before)) or not before, (name, changes)
            continue
        assert changes in (["moved"], ["moved"] * (1 + leads)), (name, changes)
        assert after[0].agenda is not None and after[0].agenda.start == quarter.starts(number)[0]
        assert "moved" in after[0].printed.subject or name in ("bea", "cai", "dee")


def test_that_a_meeting_is_cancelled_is_told_once_to_everybody(quarter: Quarter) -> None:
    """To those too who have had no agenda yet, in place of that: it is one of every week, for which they look out."""
    number = quarter.plan.cancelled
    cancelled_at = quarter.changed[number]
    for name in asked(quarter, number):
        after = [one for one in quarter.agendas(number, name) if one.at > cancelled_at]
        assert [change(one) for one in after] == ["cancelled"], name
        for mail in after:
            assert mail.event is not None
            assert mail.event.method == "CANCEL" and mail.event.status == "CANCELLED"
            assert mail.of("topic") == []
            assert mail.at < quarter.starts(number)[session(quarter, name, number)]


def test_who_leads_has_the_agenda_as_it_stands_before_the_meeting(quarter: Quarter) -> None:
    for number in numbers(quarter):
        if quarter.is_cancelled(number):
            continue
        start = quarter.starts(number)[0]
        for name in set(quarter.held(number).values()):
            mine = quarter.starts(number)[session(quarter, name, number)]
            final = [one for one in quarter.agendas(number, name) if start - NOTICE <= one.at < mine]
            assert len([one for one in final if change(one) != "noted"]) == 1, (number, name, [one.at for one in final])


def test_others_get_no_second_agenda_of_a_meeting_that_did_not_change(quarter: Quarter) -> None:
    for number in numbers(quarter):
        if number in quarter.changed:
            continue
        leading = set(quarter.held(number).values())
        for name in asked(quarter, number):
            told = [change(one) for one in quarter.agendas(number, name)]
            assert told[1:] in (["final"], ["final", "noted"], ["noted"], []), (number, name, told)
            assert "final" not in told[1:] or name in leading


def test_what_one_session_noted_is_in_front_of_the_next(quarter: Quarter) -> None:
    """They come who are on shift then, or who said so."""
    told = 0
    for number in numbers(quarter):
        first, second = quarter.starts(number)
        decided = [one for one in quarter.lines if one.meeting == number and first < one.at < second]
        for name in asked(quarter, number):
            noted = [one for one in quarter.agendas(number, name) if change(one) == "noted"]
            comes = session(quarter, name, number) == 1 and (
                at_work(quarter, name, second) or (name in ("cat", "dee") and bool(quarter.agendas(number, name)))
            )
            assert len(noted) == (comes and bool(decided)), (number, name)
            for mail in noted:
                assert mail.at < second
                under = words("Decision|Action", _noted(mail))
                assert under == [one.word for one in decided], (number, name)
                told += 1
    assert told > quarter.plan.meetings // 2


def _noted(mail: Mail) -> list[str]:
    fragments_ = [one.fragment for one in mail.of("topic")]
    return [note.text for one in fragments_ if isinstance(one, fragments.Topic) for note in one.noted]


# --- what stands on it -----------------------------------------------------------------------------------------------


def test_every_topic_is_on_one_agenda_and_on_the_right_one(quarter: Quarter) -> None:
    """Neither lost nor doubled: each agenda has all that was on it when it was written, each once, and nothing else."""
    for number, mail in agendas(quarter):
        if change(mail) == "cancelled":
            continue
        found = [topic.word for one in mail.of("topic") if (topic := topic_of(quarter, one))]
        expected = [one.word for one in quarter.topics_on(number, mail.at, done=True)]
        assert sorted(found) == sorted(expected), (number, mail.to, mail.at)


def test_what_was_carried_over_is_counted(quarter: Quarter) -> None:
    seen: dict[str, set[tuple[int, int]]] = {}
    for number, mail in agendas(quarter):
        for one in mail.of("topic"):
            if (topic := topic_of(quarter, one)) and isinstance(one.fragment, fragments.Topic):
                seen.setdefault(topic.word, set()).add((number, one.fragment.carried))
                assert one.fragment.carried == len([since for since, _ in topic.on if since <= mail.at]) - 1
    assert any(carried > 0 for found in seen.values() for _, carried in found) or quarter.plan.meetings < 4


def test_at_the_end_no_topic_is_lost(quarter: Quarter) -> None:
    numbered = {one.id: one.number for one in quarter.all_meetings()}
    now = quarter.site.clock.now().astimezone(UTC)
    assert len(quarter.all_topics()) == len(quarter.proposed) == 2 * quarter.plan.meetings
    for topic in quarter.all_topics():
        (known,) = [one for one in quarter.proposed if one.message_id == topic.message_id]
        state = "done" if known.done_at else "withdrawn" if known.withdrawn_at else "open"
        assert topic.state == state
        assert state == "withdrawn" or numbered[topic.meeting_id] == known.meeting_at(now)
        assert state != "open" or quarter.meeting(numbered[topic.meeting_id]).closed_at is None


def test_what_members_write_before_is_under_its_item_and_nowhere_else(quarter: Quarter) -> None:
    printed: set[str] = set()
    for number, mail in agendas(quarter):
        start = quarter.starts(number)[0]
        for one in mail.of("topic"):
            topic = topic_of(quarter, one)
            if topic is None or not isinstance(one.fragment, fragments.Topic):
                continue
            written = [w for w in quarter.written if w.topic is topic and w.at <= mail.at and w.at < start]
            found = words("Input", [told.text for told in one.fragment.inputs])
            assert found == [w.word for w in written[-5:]], (number, mail.to, mail.at, topic.word)
            assert one.fragment.earlier == len(written) - len(found)
            printed |= set(found)
        elsewhere = [str(one.fragment) for block in ("meeting", "turn", "action") for one in mail.of(block)]
        assert words("Input", elsewhere) == []
    assert len(printed) > 2 * quarter.plan.meetings


def test_what_comes_too_late_is_with_the_minutes_until_the_cut_off(quarter: Quarter) -> None:
    """The recap of the meeting before has what was written too late to be printed, of what that came to."""
    found_any = 0
    for number, mail in agendas(quarter):
        last = next((n for n in range(number - 1, 0, -1) if not quarter.is_cancelled(n)), 0)
        recap = [one.fragment for one in mail.of("recap")]
        if not last:
            assert recap == []
            continue
        if change(mail) == "cancelled":
            continue
        start, cut_off = quarter.starts(last)[0], _cut_off(quarter, last)
        there = quarter.topics_on(last, mail.at, done=True)
        late = [
            one.word
            for one in quarter.written
            if one.topic in there and start - NOTICE < one.at <= min(cut_off, mail.at) and start <= mail.at
        ]
        told = [added.text for one in recap if isinstance(one, fragments.Recap) for added in one.added]
        assert words("Input", told) == late[-5:], (number, mail.to, mail.at)
        found_any += len(late)
    assert found_any > 0


def _cut_off(quarter: Quarter, number: int) -> datetime:
    """Sunday 18:00 in Berlin after a meeting."""
    day = quarter.starts(number)[1].astimezone(BERLIN)
    sunday = day + timedelta(days=6 - day.weekday())
    return sunday.replace(hour=18, minute=0).astimezone(UTC)


# --- what came of it -------------------------------------------------------------------------------------------------


def test_the_next_agenda_says_what_came_of_the_meeting_before(quarter: Quarter) -> None:
    for number, mail in agendas(quarter):
        if change(mail) == "cancelled":
            continue
        last = next((n for n in range(number - 1, 0, -1) if not quarter.is_cancelled(n)), 0)
        lines = [one.word for one in quarter.lines if one.meeting == last and one.at <= mail.at]
        recap = [one.fragment for one in mail.of("recap") if isinstance(one.fragment, fragments.Recap)]
        found = words("Decision|Action", [note.text for one in recap for note in one.noted])
        assert sorted(found) == sorted(lines), (number, mail.to, mail.at)


def test_each_line_of_the_minutes_is_told_once_by_the_digests(quarter: Quarter) -> None:
    """As decided, or with what came of the meeting where its agenda is in the same mail; never twice in one mail."""
    end = quarter.site.clock.now().astimezone(UTC)
    for name, member in quarter.members().items():
        if member.delivery == "each":
            continue
        digests = [mail for mail in quarter.mails if mail.to == name and rhythm(mail) in ("weekly", "daily")]
        told = Counter[str]()
        for mail in digests:
            settled = words("Decision|Action", [str(one.fragment) for one in mail.of("settled")])
            recap = words("Decision|Action", [str(one.fragment) for one in mail.of("recap")])
            assert not set(settled) & set(recap), (name, mail.at)
            told.update(settled)
            for line in quarter.lines:
                told[line.word] += line.word in recap and not told[line.word]
        full = any(len(mail.of("settled")) == SETTLED for mail in digests)  # it has no room for more
        assert max(told.values()) == 1, name
        for line in quarter.lines:
            if line.at < end - timedelta(days=16) and (name != NEWCOMER or line.at > (quarter.joined_at or end)):
                assert told[line.word] == 1 or full, (name, line)


def test_who_has_an_action_is_reminded_of_it_once_at_work(quarter: Quarter) -> None:
    """From the day before it is due on: when a shift starts, or now if they are at work; else once they are awake."""
    end = quarter.site.clock.now().astimezone(UTC)
    reminders = [one for one in quarter.mails if rhythm(one) == "remind"]
    late, counted = [], 0
    for line in quarter.lines:
        if line.kind != "action" or line.due is None or datetime.combine(line.due, datetime.min.time(), UTC) > end:
            continue
        eve = datetime(line.due.year, line.due.month, line.due.day, tzinfo=BERLIN) - timedelta(days=1)
        since, until = eve.astimezone(UTC), eve.astimezone(UTC) + timedelta(days=2)
        mine = [one for one in quarter.mails if one.to == line.owner and since <= one.at <= until + SLEEP]
        told = [one for one in mine if words(line.word[:6], [str(e.fragment) for e in one.of("action")])]
        assert told, line
        counted += 1
        if not any(at_work(quarter, line.owner, one.at) for one in told):
            late.append((line.owner, told[0].at))
    assert counted > quarter.plan.meetings // 3
    assert all(not shifts_between(quarter, name, at - timedelta(days=1), at) for name, at in late)
    assert len(reminders) > 0


def shifts_between(quarter: Quarter, name: str, since: datetime, until: datetime) -> list[Shift]:
    return [one for one in shifts(quarter, name, until) if since <= one.start.astimezone(UTC) < until]


def test_roles_rotate_among_those_who_are_willing(quarter: Quarter) -> None:
    """Nobody has more than one more than others; of one role two, as who is on shift then comes before the others."""
    if quarter.plan.meetings < 13:
        return
    held = [quarter.held(number) for number in numbers(quarter) if not quarter.is_cancelled(number)]
    together = Counter(name for one in held for name in one.values())
    assert set(together) == set(WILLING)
    for role in (*roles.ROLES, "all"):
        loads = Counter(one[role] for one in held) if role != "all" else together
        counted = [loads[name] for name in WILLING]
        assert max(counted) - min(counted) <= (1 if role == "all" else 2), (role, loads)
    assert all(len(set(one.values())) == 3 for one in held)


def test_who_has_a_role_is_told_at_once_and_at_work(quarter: Quarter) -> None:
    for number in numbers(quarter):
        for name in set(quarter.held(number).values()) if not quarter.is_cancelled(number) else ():
            turns = [mail for mail in quarter.mails if mail.to == name and mail.of("turn")]
            before = [mail for mail in turns if mail.at < quarter.starts(number)[session(quarter, name, number)]]
            assert before, (number, name)


# --- calendars -------------------------------------------------------------------------------------------------------


def calendar(mail: Mail) -> bytes:
    """The calendar object of a mail."""
    (part,) = [one for one in parsed(mail.raw).walk() if one.get_content_type() == "text/calendar"]
    return bytes(part.get_payload(decode=True))


def test_a_session_has_one_uid_and_a_sequence_that_only_grows(quarter: Quarter) -> None:
    seen: dict[tuple[int, int], set[str]] = {}
    for name in quarter.members():
        last: dict[str, int] = {}
        for number in numbers(quarter):
            for mail in quarter.agendas(number, name):
                assert mail.event is not None
                seen.setdefault((number, session(quarter, name, number)), set()).add(mail.event.uid)
                assert mail.event.sequence >= last.get(mail.event.uid, 0)
                assert mail.event.method == ("CANCEL" if change(mail) == "cancelled" else "REQUEST")
                assert [address_.lower() for _, address_, _ in mail.event.guests] == [f"mailto:{address(name)}"]
                last[mail.event.uid] = mail.event.sequence
    assert all(len(uids) == 1 for uids in seen.values())
    assert len({uid for uids in seen.values() for uid in uids}) == len(seen)


def test_calendars_have_the_hour_of_the_wall_clock_on_both_sides_of_the_dst_nights(quarter: Quarter) -> None:
    hours: dict[int, set[str]] = {0: set(), 1: set()}
    offsets: set[timedelta | None] = set()
    for number, mail in agendas(quarter):
        assert mail.event is not None and mail.agenda is not None
        place = session(quarter, mail.to, number)
        local = mail.event.start.astimezone(BERLIN)
        assert mail.event.start == mail.agenda.start
        if change(mail) != "moved":
            hours[place].add(f"{local:%H:%M}")
        offsets.add(local.utcoffset())
        text = calendar(mail).decode()
        assert f"DTSTART;TZID=Europe/Berlin:{local:%Y%m%dT%H%M%S}" in text
        assert f"DTEND;TZID=Europe/Berlin:{local + HOUR:%Y%m%dT%H%M%S}" in text
    assert hours == {0: {FIRST}, 1: {SECOND}}
    assert len(offsets) == (2 if quarter.plan.meetings > 6 else 1)


def test_the_mail_says_the_hour_of_the_reader_on_both_sides_of_the_dst_nights(quarter: Quarter) -> None:
    hours: dict[str, set[int]] = {}
    for number, mail in agendas(quarter):
        if session(quarter, mail.to, number) == 1 and mail.to in ("cat", "dan", "cleo", "dov"):
            start = quarter.starts(number)[1].astimezone(SYDNEY)
            assert (
                re.search(rf"{start:%a} {start.day} {start:%b} {start:%H:%M}\s+to", mail.text)
                or change(mail) == "cancelled"
            )
            hours.setdefault(mail.to, set()).add(start.hour)
    assert hours["cat"] == ({13, 14, 15} if quarter.plan.meetings > 6 else {13, 14})


def test_a_second_reader_of_calendars_agrees_and_lint_finds_nothing(quarter: Quarter) -> None:
    for number in numbers(quarter):
        for name in ("abe", "bea", "cai", "dee"):
            for mail in quarter.agendas(number, name)[-1:]:
                raw = elsewhere(calendar(mail), "Europe/Berlin")
                assert READERS["icalendar"](raw)[0].start == READERS["vobject"](raw)[0].start
                assert lint(mail.raw) == []


def test_sessions_are_in_time(quarter: Quarter) -> None:
    for one, other in pairwise(quarter.all_meetings()[: quarter.plan.meetings]):
        assert one.ends_at < other.starts_at
