"""What came back from an address counts once a day, stops mail in the end, never in a wave, and is never forgotten."""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from tests import seed
from tidings.communities import confirmations, standing
from tidings.communities.standing import Counted, Failure
from tidings.database import tables
from tidings.database.engine import Database
from tidings.settings import BounceSettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
OLU = "olu@example.org"
SETTINGS = BounceSettings()
GONE = Failure(permanent=True, status="5.1.1", reason="no such user", about_message=False)
LATER = Failure(permanent=False, status="4.2.2", reason="mailbox full", about_message=False)
POLICY = Failure(permanent=True, status="5.7.26", reason="not authenticated", about_message=True)


class House:
    """A community whose members' mail comes back when the test says so."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as connection:
            self.community = seed.community(connection)

    def join(self, *emails: str, **values: object) -> None:
        with self.database.write() as connection:
            for email in emails:
                seed.member(connection, self.community, email, **values)

    def fails(
        self, email: str = OLU, failure: Failure = GONE, at: datetime = NOW, settings: BounceSettings = SETTINGS
    ) -> Counted:
        with self.database.write() as connection:
            found = standing.address_at(connection, email)
            assert found is not None
            return standing.came_back(connection, found.id, failure, now=at, settings=settings)

    def fails_until_stopped(self, email: str = OLU, at: datetime = NOW) -> standing.Address:
        for day in (2, 1, 0):
            self.fails(email, at=at - day * DAY)
        return self.address(email)

    def address(self, email: str = OLU) -> standing.Address:
        with self.database.read() as connection:
            found = standing.address_at(connection, email)
        assert found is not None
        return found

    def is_stopped(self, email: str = OLU) -> bool:
        return self.address(email).stopped_at is not None

    def score(self, email: str = OLU, at: datetime = NOW, settings: BounceSettings = SETTINGS) -> int:
        with self.database.read() as connection:
            return standing.score(connection, self.address(email).id, now=at, settings=settings)

    def history(self, email: str = OLU) -> list[standing.Day]:
        with self.database.read() as connection:
            return standing.history(connection, self.address(email).id)

    def wave(self, at: datetime = NOW) -> standing.Wave | None:
        with self.database.read() as connection:
            return standing.wave(connection, at)

    def mail(self, recipients: Iterable[str], at: datetime = NOW, state: str = "sent") -> None:
        """A mail to each of these."""
        message = {"kind": "post", "community_id": self.community, "mail_from": "", "created_at": at}
        delivery = {"state": state, "attempts": 1, "due_at": at, "changed_at": at}
        with self.database.write() as connection:
            (outbox_id,) = connection.execute(insert(tables.outbox).values(message)).inserted_primary_key
            rows = [{"outbox_id": outbox_id, "recipient": email, **delivery} for email in recipients]
            connection.execute(insert(tables.delivery), rows)


@pytest.fixture
def house(database: Database) -> House:
    made = House(database)
    made.join(OLU)
    return made


def people(count: int) -> list[str]:
    return [f"member{number}@example.org" for number in range(count)]


# --- the score of an address -----------------------------------------------------------------------------------------


@pytest.mark.acceptance(46)
def test_twenty_failures_on_one_day_count_once_and_stop_nothing(house: House) -> None:
    for number in range(20):
        counted = house.fails(at=NOW + number * timedelta(minutes=30))
        assert (counted.score, counted.stopped) == (4, False)
    assert not house.is_stopped()
    (day,) = house.history()
    assert (day.day, day.received_at) == ("2026-03-02", NOW + 19 * timedelta(minutes=30))


def test_three_days_of_permanent_failures_stop_mail_to_an_address(house: House) -> None:
    assert [house.fails(at=NOW + day * DAY).stopped for day in range(4)] == [False, False, True, False]
    found = house.address()
    assert (found.stopped_at, found.stopped_why) == (NOW + 2 * DAY, "5.1.1 no such user")
    with house.database.read() as connection:
        assert standing.stopped(connection) == [found]


def test_temporary_failures_take_twelve_days(house: House) -> None:
    results = [house.fails(failure=LATER, at=NOW + day * DAY) for day in range(12)]
    assert [one.score for one in results] == list(range(1, 13))
    assert [one.stopped for one in results] == [False] * 11 + [True]


@pytest.mark.parametrize("order", [(GONE, LATER), (LATER, GONE)])
def test_permanent_wins_over_temporary_on_one_day(house: House, order: Sequence[Failure]) -> None:
    for failure in order:
        counted = house.fails(failure=failure)
    assert counted.score == 4
    (day,) = house.history()
    assert (day.permanent, day.status) == (True, "5.1.1")


def test_days_that_are_long_ago_count_no_more(house: House) -> None:
    house.fails()
    assert house.score(at=NOW + 34 * DAY) == 4
    assert house.score(at=NOW + 35 * DAY) == 0
    assert house.score(at=NOW + 35 * DAY, settings=BounceSettings(days=36)) == 4


def test_what_is_about_the_message_never_counts_and_is_kept(house: House) -> None:
    assert [house.fails(failure=POLICY, at=NOW + day * DAY).score for day in range(20)] == [0] * 20
    assert not house.is_stopped()
    assert [(one.counted, one.status) for one in house.history()] == [(False, "5.7.26")] * 20


@pytest.mark.parametrize("order", [(POLICY, LATER), (LATER, POLICY)])
def test_a_failure_of_the_address_counts_beside_one_of_the_message(house: House, order: Sequence[Failure]) -> None:
    for failure in order:
        counted = house.fails(failure=failure)
    assert counted.score == 1
    (day,) = house.history()
    assert (day.permanent, day.counted, day.status) == (False, True, "4.2.2")


def test_the_score_that_stops_is_a_setting(house: House) -> None:
    assert house.fails(settings=BounceSettings(stop_at=4)).stopped


@pytest.mark.parametrize("reason", ["a\0b", "\ud800", "x" * 10_000, "one\r\nBcc: two"])
def test_any_reason_can_be_kept(house: House, reason: str) -> None:
    house.fails(failure=Failure(permanent=True, status="5.1.1" * 9, reason=reason, about_message=False))
    (day,) = house.history()
    assert len(day.reason) <= 500
    assert len(day.status) <= 16
    assert not {"\0", "\r", "\n"} & set(day.reason)


def test_an_address_is_found_however_it_is_written(house: House) -> None:
    with house.database.read() as connection:
        assert standing.address_at(connection, " OLU@Example.org") == house.address()
        assert standing.address_at(connection, "nobody@example.org") is None


# --- waves -----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(47)
def test_when_a_third_of_all_comes_back_at_once_nobody_is_stopped(house: House) -> None:
    members = people(100)
    house.join(*members)
    for email in members[:30]:  # one bad day more and they would be stopped
        for day in (20, 10):
            house.fails(email, at=NOW - day * DAY, settings=BounceSettings(wave_least=1000))
    house.mail(members)

    results = [house.fails(email) for email in members[:30]]
    began = [one.began for one in results if one.began]
    assert len(began) == 1
    assert began[0].reason == "Mail to 20 addresses came back within a day, in which 100 were mailed."
    assert began[0].went_on == tuple(sorted(members[:19])), "who was stopped before it was seen to be a wave"
    with house.database.read() as connection:
        assert standing.stopped(connection) == []
    assert {house.score(email) for email in members[:30]} == {8}
    assert not any(house.fails(email, at=NOW + HOUR).stopped for email in members[30:])


def test_few_addresses_or_a_small_share_make_no_wave(house: House) -> None:
    members = people(60)
    house.join(*members)
    house.mail(members[:20])
    assert not any(house.fails(email).began for email in members[:9]), "nine are not ten"
    house.mail(members[20:], state="failed")
    assert not any(house.fails(email).began for email in members[9:11]), "eleven of sixty are less than 20 %"
    assert house.fails(members[11]).began, "twelve are 20 %"


def test_only_the_recipients_of_the_last_day_are_what_a_wave_is_a_share_of(house: House) -> None:
    members = people(60)
    house.join(*members)
    house.mail(members, at=NOW - DAY)
    house.mail(members, state="queued")
    house.mail(members[:30])
    house.mail(members[:30])
    assert any(house.fails(email).began for email in members[:10])


def test_a_wave_is_seen_across_midnight(house: House) -> None:
    members = people(20)
    house.join(*members)
    house.mail(members)
    midnight = NOW.replace(hour=0)
    assert not any(house.fails(email, at=midnight - HOUR).began for email in members[:9])
    assert house.fails(members[9], at=midnight + HOUR).began
    assert {house.score(email) for email in members} == {0}


def test_one_address_that_comes_back_ten_times_makes_no_wave(house: House) -> None:
    house.mail([OLU])
    assert not any(house.fails(at=NOW + number * HOUR).began for number in range(20))


def wave_of(house: House) -> None:
    members = people(10)
    house.join(*members)
    house.mail(members)
    assert [bool(house.fails(email).began) for email in members] == [False] * 9 + [True]


def test_processes_that_count_beside_each_other_begin_one_wave(house: House) -> None:
    members = people(12)
    house.join(*members)
    house.mail(members)
    for email in members[:8]:
        house.fails(email)
    start = threading.Barrier(4)

    def fails(email: str) -> bool:
        start.wait()
        return house.fails(email).began is not None

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(fails, members[8:])) == 1
    assert {house.score(email) for email in members} == {0}


def test_a_wave_lasts_a_day_and_then_failures_count_again(house: House) -> None:
    wave_of(house)
    assert house.fails(at=NOW + DAY - SECOND).score == 0
    assert house.wave(NOW + DAY - SECOND)
    assert house.wave(NOW + DAY) is None
    assert house.fails(at=NOW + DAY + HOUR).score == 4


def test_what_came_back_in_a_wave_does_not_begin_the_next(house: House) -> None:
    wave_of(house)
    for email in people(10):
        house.fails(email, at=NOW + DAY - HOUR)
    assert not any(house.fails(email, at=NOW + DAY + HOUR).began for email in people(9))
    assert house.fails(people(10)[9], at=NOW + DAY + HOUR).began, "it has not passed"


def test_an_admin_can_end_a_wave(house: House) -> None:
    wave_of(house)
    with house.database.write() as connection:
        assert standing.end_wave(connection, NOW + HOUR)
        assert not standing.end_wave(connection, NOW + HOUR)
    assert house.wave(NOW + HOUR) is None
    assert house.fails(at=NOW + HOUR).score == 4
    assert house.score(people(1)[0], at=NOW + HOUR) == 0, "what came back in it stays uncounted"


def test_who_was_stopped_before_a_wave_stays_so_and_is_none_of_it(house: House) -> None:
    house.fails_until_stopped(at=NOW - 2 * DAY)
    members = people(10)
    house.join(*members)
    house.mail([*members, OLU])
    house.fails()
    assert not any(house.fails(email).began for email in members[:9]), "nine and a probe"
    assert house.fails(members[9]).began
    assert house.is_stopped()


# --- how mail goes on ------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(48)
def test_an_address_that_came_back_begins_anew_and_its_history_is_kept(house: House) -> None:
    found = house.fails_until_stopped()
    with house.database.write() as connection:
        assert standing.bring_back(connection, found.id)
        assert not standing.bring_back(connection, found.id)
        assert standing.stopped(connection) == []
    assert house.address() == standing.Address(
        id=found.id, email=OLU, stopped_at=None, stopped_why=None, probes=0, probe_due_at=None
    )
    assert [(one.day, one.counted) for one in house.history()] == [
        ("2026-03-02", False),
        ("2026-03-01", False),
        ("2026-02-28", False),
    ]
    assert house.fails(at=NOW + DAY).score == 4


def test_a_token_brings_its_address_back_once_and_for_72_hours(house: House) -> None:
    found = house.fails_until_stopped()
    with house.database.write() as connection:
        late = standing.ask_back(connection, found.id, email=OLU, now=NOW)
        good = standing.ask_back(connection, found.id, email=OLU, now=NOW + HOUR)
        then = NOW + 72 * HOUR + SECOND
        assert standing.asked_back(connection, late, then) == (found, False)
        assert not standing.bring_back_by(connection, late, then)
        assert standing.asked_back(connection, good, then) == (found, True)
        assert standing.bring_back_by(connection, good, then)
        assert not standing.bring_back_by(connection, good, then)
        back = standing.address_at(connection, OLU)
        assert back is not None
        assert back.stopped_at is None
        assert standing.asked_back(connection, good, then) == (back, False)


def test_a_token_of_another_purpose_brings_nobody_back(house: House) -> None:
    found = house.fails_until_stopped()
    with house.database.write() as connection:
        request = {"address": found.id}
        token = confirmations.ask(connection, purpose="join", email=OLU, now=NOW, request=request)
        assert standing.asked_back(connection, token, NOW) is None
        assert not standing.bring_back_by(connection, token, NOW)
        assert confirmations.use(connection, token, NOW), "it was not used up"
    assert house.is_stopped()


# --- probes ----------------------------------------------------------------------------------------------------------


def take_probes(house: House, at: datetime, settings: BounceSettings = SETTINGS) -> list[int]:
    """The numbers of the probes that are due."""
    with house.database.write() as connection:
        due = standing.probes_due(connection, at)
        return [one.probes + 1 for one in due if standing.take_probe(connection, one, at, settings)]


@pytest.mark.acceptance(48)
def test_a_stopped_address_is_probed_every_week_three_times_and_no_more(house: House) -> None:
    house.fails_until_stopped()
    taken = {day: found for day in range(60) if (found := take_probes(house, NOW + day * DAY))}
    assert taken == {7: [1], 14: [2], 21: [3]}
    assert house.is_stopped()
    assert house.address().probes == 3


def test_a_probe_that_another_process_took_is_not_sent_again(house: House) -> None:
    house.fails_until_stopped()
    then = NOW + 7 * DAY
    with house.database.write() as connection:
        (due,) = standing.probes_due(connection, then)
        assert standing.take_probe(connection, due, then, SETTINGS)
        assert not standing.take_probe(connection, due, then, SETTINGS)
        standing.bring_back(connection, due.id)
        assert standing.probes_due(connection, NOW + 60 * DAY) == []


def test_fewer_probes_in_the_settings_end_what_was_begun(house: House) -> None:
    house.fails_until_stopped()
    assert take_probes(house, NOW + 7 * DAY, BounceSettings(probes=0)) == []
    assert take_probes(house, NOW + 60 * DAY) == []


def test_who_left_every_community_is_not_probed(house: House) -> None:
    house.join("gone@example.org", left_at=NOW)
    house.fails_until_stopped("gone@example.org")
    assert take_probes(house, NOW + 7 * DAY) == []


# --- who is told -----------------------------------------------------------------------------------------------------


def test_the_owners_of_the_communities_of_an_address_are_those_who_can_be_reached(house: House) -> None:
    with house.database.write() as connection:
        other = seed.community(connection, "valve")
        seed.member(connection, other, "elsewhere@example.org", role="owner")
    house.join("own@example.org", "stopped@example.org", role="owner")
    house.join("past@example.org", role="owner", left_at=NOW)
    house.fails_until_stopped("stopped@example.org")
    with house.database.read() as connection:
        assert standing.owners_of(connection, house.address().id) == ["own@example.org"]
        assert standing.owners_of(connection, house.address("own@example.org").id) == []
        assert standing.communities_of(connection, house.address().id) == [house.community]
        assert standing.communities_of(connection, house.address("past@example.org").id) == []
