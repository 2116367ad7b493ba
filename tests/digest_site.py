"""A made-up site for the tests of digests: the pump team, a night crew and a week of posts."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update

from tests import seed
from tidings.archive import cards
from tidings.communities import joining, rota
from tidings.communities.directory import Community, Member
from tidings.communities.entries import parse_day
from tidings.database import tables
from tidings.digests.meetings import diary, series
from tidings.digests.meetings.series import NewSession, Series
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

SITE = SiteSettings(domain="lists.example.org", base_url="https://tidings.example.org", zone="Europe/Berlin")
TOKENS = Tokens(b"a key of thirty-two bytes, made up")

# Monday 5 October 2026; its first cut-off is Sunday 11 October 18:00 in Berlin, 16:00 UTC.
START = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)
CUT_OFF = datetime(2026, 10, 11, 16, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def community(
    connection: Connection, name: str = "pump", title: str = "Pump team", *, meeting: str = "", **changes: str
) -> Community:
    """A community whose cut-off is Sunday 18:00 in Berlin; `changes` as `tidings community set` takes them.

    A `meeting` is one of every week, at a weekday and an hour.
    """
    joining.add_community(connection, name=name, title=title, zone="Europe/Berlin", now=START)
    made = joining.set_community(connection, name, {"cut-off": "Sun 18:00", **changes}, START)
    if meeting:
        weekly(connection, made, meeting)
    return made


def weekly(connection: Connection, of: Community, meeting: str, now: datetime = START, **values: Any) -> Series:
    """A series of a meeting every week from `now` on, at a weekday and an hour, planned ahead."""
    day, starts = meeting.split()
    asked = {"name": "weekly", "sessions": [NewSession(starts=starts)], "now": now, **values}
    found = series.add(connection, of, first_day=parse_day(day, now.date()), **asked)
    diary.plan_ahead(connection, found, now)
    return found


def crew(connection: Connection, name: str = "night", pattern: str = "NNNNOOO", start: str = "2026-10-05") -> str:
    """A crew of twelve-hour shifts in Berlin; the first letter of the pattern is worked on `start`, a Monday."""
    rota.add_rota(connection, name=name, zone="Europe/Berlin", pattern=pattern, shifts="D=07:00-19:00,N=19:00-07:00")
    return rota.add_crew(connection, name=name, rota=name, start_date=date.fromisoformat(start)).name


def member(connection: Connection, email: str, community: str = "pump", **values: Any) -> Member:
    """A member with weekly digests, unless `values` say otherwise."""
    digest = values.pop("digest", None)
    asked = {"name": email.split("@")[0].title(), "delivery": "weekly", **values}
    found = joining.add_member(connection, community=community, email=email, now=START, **asked)
    changes: Mapping[str, str] = {"digest": digest} if digest else {}
    return (
        joining.set_member(connection, community=community, email=email, changes=changes, now=START)
        if changes
        else found
    )


def post(connection: Connection, community_id: int, text: str = "The seal leaks again.", **values: Any) -> seed.Seeded:
    """A post of the week."""
    author = values.pop("author", "ana")
    date = values.pop("date", None) or START + timedelta(hours=_posts(connection) + 1)
    return seed.post(
        connection, community_id, author=(author.title(), f"{author}@example.org"), text=text, date=date, **values
    )


def _posts(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tables.post)).scalar_one()


def a_week(connection: Connection) -> Community:
    """A quiet week of the pump team: a meeting, and more conversations than are told."""
    pump = community(connection)
    weekly(connection, pump, "Tue 14:00", place="Room 2, or dial 4711")
    old = START - 2 * timedelta(days=1)
    leak = post(
        connection,
        pump.id,
        "Hi all,\n\nThe seal of pump 4 leaks at start-up. It stops after ten minutes.\n\nThanks, Li\n",
        author="li",
        subject="[pump] Seal on line 3",
        date=old,
    )
    crew(connection)
    member(connection, "sam@example.org", name="Sam Okafor", crew="night")
    quote = "On Saturday Li wrote:\n> The seal of pump 4 leaks at start-up.\n\n"
    answer = "Did the new seal hold on line 3? We changed ours in March, and it was the spring, not the seal.\n"
    ana = post(
        connection,
        pump.id,
        quote + answer,
        parent=leak,
        subject="Re: [pump] Seal on line 3",
        folds=((0, len(quote) - 1, "quote"),),
    )
    raj = post(
        connection,
        pump.id,
        "Hello Ana,\n\nWe saw the same on line 1. The new spring is stiffer, so the seal seats before the pressure is "
        "up. I measured 2.3 bar at the moment it starts to weep. Dr. Weiss has the old ones, e.g. for a comparison. "
        "Has anyone tried the grey washers?\n\nBest regards\nRaj\n",
        author="raj",
        parent=ana,
        subject="Re: [pump] Seal on line 3",
        attachments=((1, "line-1 pressure.csv", "text/csv", 18_240), (2, "seal.jpg", "image/jpeg", 2_400_000)),
    )
    post(connection, pump.id, "They hold.\n", author="sam", parent=raj, subject="Re: [pump] Seal on line 3")
    for number, (author, title) in enumerate(_TITLES):
        post(
            connection,
            pump.id,
            f"{title}: it is number {number} of my list, and I have seen it before.",
            author=author,
            subject=title,
        )
    return pump


def a_full_week(connection: Connection) -> Community:
    """A week of the pump team with something in every block and more conversations than are told."""
    pump = community(connection)
    weekly(connection, pump, "Tue 14:00", place="Room 2, or dial 4711")
    crew(connection)
    sam = member(connection, "sam@example.org", name="Sam Okafor", crew="night")
    _before(connection, pump, sam)
    _seal(connection, pump)
    noor = post(
        connection, pump.id, "Can a gauge be read at night? Ours has no lamp.\n", author="noor", subject="Gauges"
    )
    post(connection, pump.id, "@sam has one.\n", author="mei", parent=noor, subject="Re: Gauges")
    spring = post(connection, pump.id, "Try the spring of line 1.\n", author="raj", subject="Springs")
    used = post(
        connection, pump.id, "used: no leak in three weeks\n", author="mei", parent=spring, subject="Re: Springs"
    )
    card = {"community_id": pump.id, "kind": "used", "post_id": used.id, "about_id": spring.id}
    cards.add(connection, **card, text="no leak in three weeks", now=START)
    for number, (author, title) in enumerate(_TITLES):
        post(
            connection,
            pump.id,
            f"{title}: what do you think? It is number {number} of my list.",
            author=author,
            subject=title,
        )
    return pump


def _before(connection: Connection, pump: Community, sam: Member) -> None:
    """What was told last week: an old thread, and a question that nobody has answered."""
    old = START - timedelta(days=2)
    post(
        connection,
        pump.id,
        "Hi all,\n\nThe seal of pump 4 leaks at start-up. It stops after ten minutes.\n\nThanks, Li\n",
        author="li",
        subject="[pump] Seal on line 3",
        date=old,
        message_id="seal@example.org",
    )
    asked = "Does anybody have the drawing of the old coupling? The new one does not fit.\n"
    post(connection, pump.id, asked, author="tom", subject="Old coupling", date=old)
    cursor = update(tables.membership).where(tables.membership.c.id == sam.membership_id).values(cursor=2)
    connection.execute(cursor)


def _seal(connection: Connection, pump: Community) -> None:
    """What is new in the old thread: an answer, a long one, the reader's own, and one to the reader."""
    leak = seed.found(connection, pump.id, "seal@example.org")
    subject = "Re: [pump] Seal on line 3"
    quote = "On Saturday Li wrote:\n> The seal of pump 4 leaks at start-up.\n\n"
    answer = "Did the new seal hold on line 3? We changed ours in March, and it was the spring, not the seal.\n"
    folds = ((0, len(quote) - 1, "quote"),)
    ana = post(connection, pump.id, quote + answer, parent=leak, subject=subject, folds=folds)
    raj = post(
        connection,
        pump.id,
        "Hello Ana,\n\nWe saw the same on line 1. The new spring is stiffer, so the seal seats before the pressure is "
        "up. I measured 2.3 bar at the moment it starts to weep. Dr. Weiss has the old ones, e.g. for a comparison. "
        "Has anyone tried the grey washers?\n\nBest regards\nRaj\n",
        author="raj",
        parent=ana,
        subject=subject,
        attachments=((1, "line-1 pressure.csv", "text/csv", 18_240), (2, "seal.jpg", "image/jpeg", 2_400_000)),
    )
    sam = post(connection, pump.id, "They hold.\n", author="sam", parent=raj, subject=subject)
    post(connection, pump.id, "Good. For how long?\n", parent=sam, subject=subject)


_TITLES = (
    ("raj", "Start-up vibration after the bearing was changed"),
    ("li", "Spare stock"),
    ("ana", "Who has the key to the tool crib?"),
    ("mei", "Grease for the cold store"),
    ("li", "Alarm 7 & alarm <12>"),
    ("noor", "Handover sheet, new layout"),
    ("ana", "Ear defenders"),
    ("tom", "Noise at night in the compressor room"),
    ("tom", "Lamp over the north door"),
)
