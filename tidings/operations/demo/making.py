"""Makes the demo's site, once: communities, crews and people, three weeks of old mail imported, then a week as it came.

The last week goes through the spool and the intake, with the clock set to each mail's arrival, so that copies and
digests were sent as they would have been. The parts are passed in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from tidings.archive.mbox import Entry
from tidings.clock import FixedClock
from tidings.communities import directory, joining, rota
from tidings.communities.entries import parse_day
from tidings.database.engine import Database
from tidings.digests.meetings import roles, series
from tidings.digests.meetings.series import NewSession
from tidings.errors import TidingsError
from tidings.intake.pipeline import Intake
from tidings.mailer.spool import Accepted, Spool
from tidings.mailer.worker import ParseWorker
from tidings.operations.demo import due
from tidings.operations.demo.story import ZONE, Letter, Story, StoryCommunity
from tidings.operations.importing import Importer
from tidings.settings import Settings
from tidings.tokens import Tokens

_SHOWN_AT = time(17, 40)  # of the Sunday on which the demo begins: the cut-off is at 18:00, crew B's night at 19:00
_MOVED = "3 Fri 12:00"  # when the communities began to use this site; older mail is imported
_ROTA = "plant"
# In the story crew B begins four nights on that Sunday, and crew A is off: it is the fifth day of their cycle.
_CYCLE_DAYS = 16
_FIRST_DAY = 3 * _CYCLE_DAYS + 4


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the site is made with; `run_due` does what is due by the clock, `deliver` sends what is in the outbox."""

    settings: Settings
    database: Database
    spool: Spool
    clock: FixedClock
    tokens: Tokens
    worker: ParseWorker
    intake: Intake
    run_due: Callable[[], object]
    deliver: Callable[[], object]


def beginning(now: datetime) -> datetime:
    """The moment (UTC) at which the demo's clock stands at first: late on the last Sunday before `now`."""
    local = now.astimezone(ZoneInfo(ZONE))
    sunday = local.date() - timedelta(days=(local.weekday() + 1) % 7)
    shown = datetime.combine(sunday, _SHOWN_AT, ZoneInfo(ZONE))
    return (shown if shown <= local else shown - timedelta(days=7)).astimezone(UTC)


def make(parts: Parts, begins: datetime) -> None:
    """Make the site up to the moment `begins` (see `beginning`), at which its clock then stands."""
    sunday = begins.astimezone(ZoneInfo(ZONE)).date()
    story = Story(sunday, parts.settings.site.domain)
    moved = story.moment(_MOVED)
    parts.clock.set(moved)
    with parts.database.write() as connection:
        _people(connection, story, sunday, moved)
    letters = story.letters()
    _import(parts, [letter for letter in letters if letter.arrives < moved])
    for letter in letters:
        if letter.arrives >= moved:
            _let_pass(parts, letter.arrives)
            _receive(parts, letter)
    _let_pass(parts, begins)


def _meet(connection: Connection, story: Story, community: StoryCommunity, now: datetime) -> None:
    """A community of the story meets every week, and some of its people are willing to lead."""
    day, starts = community.meeting.split()
    made = series.add(
        connection,
        directory.community(connection, community.name),
        name="weekly",
        first_day=parse_day(day, now.astimezone(ZoneInfo(ZONE)).date()),
        sessions=[NewSession(starts=starts)],
        place=community.place,
        now=now,
    )
    for email, person in story.people.items():
        if member := directory.member_by_address(connection, made.community_id, email):
            for role in person.willing:
                roles.offer(connection, made.id, member.person_id, role, now)


def _people(connection: Connection, story: Story, sunday: date, now: datetime) -> None:
    for community in story.communities:
        joining.add_community(
            connection,
            name=community.name,
            title=community.title,
            description=community.description,
            zone=ZONE,
            now=now,
        )
    rota.add_rota(connection, name=_ROTA, zone=ZONE, pattern="four-on-four-off")
    for crew in ("A", "B"):
        start = sunday - timedelta(days=_FIRST_DAY)
        rota.add_crew(connection, name=crew, rota=_ROTA, pattern=crew, start_date=start)
    for email, person in story.people.items():
        for name, delivery in person.delivery.items():
            joining.add_member(
                connection,
                community=name,
                email=email,
                name=person.name,
                role=person.role,
                delivery=delivery,
                crew=person.crew,
                now=now,
            )
    for community in story.communities:
        if community.meeting:
            _meet(connection, story, community, now)


def _import(parts: Parts, letters: Iterable[Letter]) -> None:
    for name, found in groupby(sorted(letters, key=lambda one: one.community), key=lambda one: one.community):
        with parts.database.read() as connection:
            community = directory.community(connection, name)
        importer = Importer(
            database=parts.database,
            spool=parts.spool,
            worker=parts.worker,
            community=community,
            clock=parts.clock,
            settings=parts.settings,
            tokens=parts.tokens,
        )
        entries = (
            Entry(raw=one.raw, from_line=None, source="the demo", envelope_date=one.arrives, offset=0) for one in found
        )
        for verdict in importer.run(entries):
            if verdict.verdict != "stored":
                raise TidingsError(f"The demo's mail {verdict.message_id} was {verdict.verdict}: {verdict.reason}")


def _let_pass(parts: Parts, until: datetime) -> None:
    """Let the time go on, and do on the way what is due."""
    for moment in due.moments(parts.database, parts.clock, until):
        parts.clock.set(moment)
        parts.run_due()
        parts.deliver()


def _receive(parts: Parts, letter: Letter) -> None:
    accepted = Accepted(
        mail_from=letter.sender,
        recipient=letter.address,
        peer="127.0.0.1",
        via="smtp",
        received_at=letter.arrives,
        raw=letter.raw,
    )
    parts.spool.append([accepted])
    parts.intake.drain()
    parts.deliver()
