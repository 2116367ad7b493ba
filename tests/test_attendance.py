"""Who comes: the newest answer of each counts, a member has one by whatever address, and guests are bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert

from tests import digest_site, meeting_site
from tests.meeting_site import NOW
from tidings.communities import joining
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import attendance, diary
from tidings.digests.meetings.attendance import GUESTS, Answer, Said
from tidings.digests.meetings.series import Series

HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The first meeting of the pump team, which Sam may come to."""

    connection: Connection
    pump: Community
    series: Series
    sam: Member

    @property
    def meeting(self) -> diary.Meeting:
        return meeting_site.meetings(self.connection, self.series)[0]

    def say(self, answer: Answer, email: str = "guest@elsewhere.example", **values: object) -> bool:
        asked = {"meeting_id": self.meeting.id, "now": NOW, "answer": answer, "email": email, **values}
        return attendance.say(self.connection, **asked)  # type: ignore[arg-type]

    def sam_says(self, answer: Answer, **values: object) -> bool:
        return self.say(answer, **{"email": self.sam.email, "member": self.sam, **values})  # type: ignore[arg-type]

    def said(self) -> list[Said]:
        return attendance.of_meeting(self.connection, self.meeting.id)

    def answers(self) -> list[str]:
        return [one.answer for one in self.said()]

    def move(self, times: int) -> None:
        for _ in range(times):
            meeting = self.meeting
            sitting = meeting.sittings[0]
            diary.move(self.connection, meeting, sitting, sitting.starts_at + HOUR, NOW)


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    with database.write() as connection:
        pump = digest_site.community(connection)
        sam = digest_site.member(connection, "sam@example.org", name="Sam Okafor")
        yield Desk(connection=connection, pump=pump, series=meeting_site.hour(connection, pump), sam=sam)


# --- the newest counts -----------------------------------------------------------------------------------------------


def test_the_last_answer_of_each_counts(desk: Desk) -> None:
    assert desk.sam_says("yes")
    assert desk.say("maybe", name="Eve", now=NOW + HOUR)
    assert desk.sam_says("no", comment="nights", now=NOW + 2 * HOUR)
    assert desk.answers() == ["maybe", "no"]
    [guest, sam] = desk.said()
    assert (guest.person_id, guest.email_key, guest.name) == (None, "guest@elsewhere.example", "Eve")
    assert (sam.person_id, sam.email_key, sam.name, sam.comment) == (
        desk.sam.person_id,
        "sam@example.org",
        "Sam Okafor",
        "nights",
    )
    assert attendance.counts(desk.said()) == {"maybe": 1, "no": 1}


def test_of_two_answers_the_newer_one_counts_in_whatever_order_they_come(desk: Desk) -> None:
    assert desk.sam_says("no", said_at=NOW - HOUR, sequence=0)
    assert not desk.sam_says("yes", said_at=NOW - 2 * HOUR, sequence=0)
    assert desk.sam_says("maybe", said_at=NOW - HOUR, sequence=0)  # of the same second, the one that came last
    assert desk.answers() == ["maybe"]


def test_an_answer_to_a_later_invitation_counts_before_a_newer_one_to_an_earlier(desk: Desk) -> None:
    desk.move(2)
    sitting_id = desk.meeting.sittings[0].id
    assert desk.sam_says("yes", sequence=2, said_at=NOW - 2 * HOUR, sitting_id=sitting_id)
    assert not desk.sam_says("no", sequence=1, said_at=NOW - HOUR, sitting_id=sitting_id)
    assert desk.sam_says("maybe", sequence=2, said_at=NOW - HOUR, sitting_id=sitting_id)
    assert desk.answers() == ["maybe"]


def test_of_answers_to_two_sessions_the_newer_one_counts_however_often_each_was_moved(desk: Desk) -> None:
    series = meeting_site.hour(desk.connection, desk.pump, ("14:00", "22:00"), name="twice")
    meeting = meeting_site.meetings(desk.connection, series)[0]
    day, night = meeting.sittings
    diary.move(desk.connection, meeting, day, day.starts_at + HOUR, NOW)
    here = {"meeting_id": meeting.id}
    assert desk.sam_says("yes", sequence=1, said_at=NOW - 3 * HOUR, sitting_id=day.id, **here)
    assert desk.sam_says("no", sequence=0, said_at=NOW - 2 * HOUR, sitting_id=night.id, **here)
    assert not desk.sam_says("yes", sequence=1, said_at=NOW - 3 * HOUR, sitting_id=day.id, **here)
    assert desk.sam_says("maybe", now=NOW - HOUR, **here)
    assert desk.sam_says("yes", sequence=0, said_at=NOW, sitting_id=night.id, **here)
    assert [one.answer for one in attendance.of_meeting(desk.connection, meeting.id)] == ["yes"]


def test_an_answer_by_mail_is_to_what_stands_now(desk: Desk) -> None:
    sitting_id = desk.meeting.sittings[0].id
    desk.move(1)
    assert desk.sam_says("yes", sequence=1, said_at=NOW, sitting_id=sitting_id)
    assert desk.sam_says("no", now=NOW + HOUR, sitting_id=sitting_id)
    assert desk.answers() == ["no"]
    desk.move(1)
    assert desk.sam_says("yes", sequence=2, said_at=NOW, now=NOW + 2 * HOUR, sitting_id=sitting_id)
    assert desk.sam_says("maybe", now=NOW + 3 * HOUR)
    assert desk.answers() == ["maybe"]


@pytest.mark.parametrize("values", [{"said_at": NOW + 1000 * HOUR}, {"sequence": 2**31 - 1}])
def test_an_answer_that_claims_to_be_of_another_time_does_not_stand_for_ever(
    desk: Desk, values: dict[str, object]
) -> None:
    assert desk.sam_says("yes", **values)
    assert desk.sam_says("no", now=NOW + HOUR)
    assert desk.answers() == ["no"]
    assert desk.said()[0].sequence == 0


# --- who it is -------------------------------------------------------------------------------------------------------


def test_a_member_answers_from_any_of_their_addresses(desk: Desk) -> None:
    assert desk.sam_says("yes")
    assert desk.sam_says("no", email="sam.okafor@home.example", now=NOW + HOUR)
    [said] = desk.said()
    assert (said.answer, said.email_key) == ("no", "sam@example.org")


def test_who_answered_as_a_guest_and_is_a_member_now_has_one_answer(desk: Desk) -> None:
    assert desk.say("yes", "Li@example.org")
    li = digest_site.member(desk.connection, "li@example.org")
    assert desk.say("no", "li@example.org", member=li, now=NOW + HOUR)
    assert [(one.person_id, one.answer) for one in desk.said()] == [(li.person_id, "no")]


def test_who_answered_as_a_guest_from_what_is_another_address_of_theirs_has_one_answer(desk: Desk) -> None:
    assert desk.sam_says("yes")
    assert desk.say("maybe", "sam@home.example", now=NOW + HOUR)
    values = {"person_id": desk.sam.person_id, "email": "sam@home.example", "email_key": "sam@home.example"}
    desk.connection.execute(insert(tables.address).values(values))
    assert not desk.sam_says("yes", email="sam@home.example", said_at=NOW)  # the guest said something later
    assert desk.sam_says("no", email="sam@home.example", now=NOW + 2 * HOUR)
    assert desk.answers() == ["no"]


def test_who_left_answers_as_a_guest_and_has_one_answer(desk: Desk) -> None:
    assert desk.sam_says("yes")
    joining.remove_member(desk.connection, membership_id=desk.sam.membership_id, now=NOW)
    assert desk.say("no", "sam@example.org", now=NOW + HOUR)
    assert [(one.person_id, one.answer) for one in desk.said()] == [(None, "no")]


def test_who_sends_somebody_else_is_named_with_them(desk: Desk) -> None:
    assert desk.sam_says("delegated")
    assert desk.say("yes", "eve@elsewhere.example", for_email="SAM@example.org", sitting_id=desk.meeting.sittings[0].id)
    delegate = desk.said()[-1]
    assert (delegate.for_key, delegate.sitting_id) == ("sam@example.org", desk.meeting.sittings[0].id)
    assert attendance.counts(desk.said()) == {"delegated": 1, "yes": 1}


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(62)
def test_guests_whom_nobody_asked_are_bounded_and_members_are_not(desk: Desk) -> None:
    for number in range(GUESTS):
        assert desk.say("yes", f"{number}@elsewhere.example")
    assert not desk.say("yes", "one.more@elsewhere.example")
    assert desk.say("no", "7@elsewhere.example", now=NOW + HOUR)
    assert desk.sam_says("yes")
    assert attendance.counts(desk.said()) == {"yes": GUESTS, "no": 1}
    other = meeting_site.meetings(desk.connection, desk.series)[1]
    assert desk.say("yes", "one.more@elsewhere.example", meeting_id=other.id)


@pytest.mark.acceptance(62)
def test_what_anybody_writes_is_kept_as_one_bounded_line_of_what_can_be_seen(desk: Desk) -> None:
    long = "x" * 10_000
    email = f"{long}@elsewhere.example\0"
    assert desk.say("yes", email, name=f"Eve\r\nX: y\0 {long}", comment=f"late\n\0{long}", for_email=long)
    assert desk.say("no", email, now=NOW + HOUR)
    [said] = desk.said()
    assert (said.answer, len(said.email_key)) == ("no", 320)
    desk.say("yes", "eve@elsewhere.example", name="Eve\r\nX: y\0", comment="ten\nminutes\u202elate")
    eve = next(one for one in desk.said() if one.email_key.startswith("eve"))
    assert (eve.name, eve.comment) == ("Eve X: y", "ten minuteslate")
