"""A year of a real list as it would be told to four crews: every mail, and whether each post is accounted for once.

It prints neither text nor addresses.
"""

import gzip
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

from sqlalchemy import Connection, select

from tidings.app import open_site
from tidings.archive import mbox
from tidings.clock import FixedClock
from tidings.communities import joining, rota
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import lint, stored
from tidings.rehearsing import rehearse
from tidings.settings import Settings, SiteSettings

WEEKS = 52
AFTER = 4  # weeks behind them: mail of the last days, and the digest of a crew that has a week off then
_BEGIN = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # a Monday
_ZONE = "Europe/Berlin"
_CREW = 10  # members


@dataclass(frozen=True, kw_only=True)
class Year:
    """A year that was played; `wrong` says of members, by number, what is not as it must be."""

    seconds: float
    cpu: float  # seconds, the parser's too
    posts: int
    mails: int
    members: int
    longest: int  # encoded bytes of an HTML part
    findings: int  # of `digest lint`
    told: int  # posts, over all members: in an item of theirs
    counted: int
    muted: int
    wrong: tuple[str, ...]


def play(source: Path, folder: Path) -> Year:
    """Play the mail of an mbox to four DuPont crews of ten; its mails are left in a folder `out`."""
    plain = folder / "list.mbox"
    plain.write_bytes(gzip.decompress(source.read_bytes()))
    site = open_site(Settings(site=SiteSettings(data_dir=str(folder / "site"), zone=_ZONE)), FixedClock(_BEGIN))
    with site.database.write() as connection:
        _fill(connection)
    found: list[Account] = []
    began, before = time.monotonic(), os.times()
    played = rehearse(
        site,
        folder / "out",
        weeks=WEEKS + AFTER,
        community="list",
        entries=list(mbox.read(plain)),
        begins=_BEGIN,
        at_end=lambda database: found.extend(accounts(database)),
    )
    seconds, after = time.monotonic() - began, os.times()
    site.close()
    raws = [path.read_bytes() for path in sorted((folder / "out").glob("*.eml"))]
    return Year(
        seconds=seconds,
        cpu=sum(after[:4]) - sum(before[:4]),
        posts=played.posts,
        mails=played.mails,
        members=len(found),
        longest=max(map(_html_bytes, raws), default=0),
        findings=sum(len(lint.lint(raw)) for raw in raws),
        told=sum(one.told for one in found),
        counted=sum(one.counted for one in found),
        muted=sum(one.muted for one in found),
        wrong=tuple(wrong for one in found for wrong in one.wrong),
    )


def _fill(connection: Connection) -> None:
    """The community, its rota, and the members of the four crews."""
    joining.add_community(connection, name="list", title="The list", zone=_ZONE, now=_BEGIN)
    joining.set_community(connection, "list", {"cut-off": "Sun 18:00", "posting": "open"}, _BEGIN)
    rota.add_rota(connection, name="plant", zone=_ZONE, pattern="dupont")
    for crew in "ABCD":
        rota.add_crew(connection, name=crew, rota="plant", start_date=_BEGIN.date(), pattern=crew)
        for number in range(_CREW):
            email = f"{crew.lower()}{number}@example.org"
            joining.add_member(
                connection,
                community="list",
                email=email,
                name=f"Reader {crew}{number}",
                delivery="weekly",
                crew=crew,
                now=_BEGIN,
            )


def _html_bytes(raw: bytes) -> int:
    parts = message_from_bytes(raw).walk()
    return max((len(str(part.get_payload())) for part in parts if part.get_content_type() == "text/html"), default=0)


# --- every post once -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of the posts for one member: in an item, only counted, or counted as muted; and what is wrong."""

    told: int
    counted: int
    muted: int
    wrong: tuple[str, ...]


_section, _period, _item = tables.edition_section.c, tables.period.c, tables.item.c


def accounts(database: Database) -> list[Account]:
    """Of each member, by what is stored of their editions."""
    with database.read() as connection:
        posts = connection.execute(select(tables.post.c.number).order_by(tables.post.c.number)).scalars().all()
        members = connection.execute(select(tables.membership.c.id).order_by(tables.membership.c.id)).scalars().all()
        return [_account(connection, member, posts) for member in members]


def _account(connection: Connection, member: int, posts: Sequence[int]) -> Account:
    """Follow the windows of a member's sections, which must touch, and ask what each tells of the posts in it."""
    rows = connection.execute(
        select(_section.state, _section.edition_id, _section.after, _period.up_to)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(_section.membership_id == member, _section.state.in_(("composed", "quiet", "waiting")))
        .order_by(_period.up_to, _period.cut_off_at)
    ).all()
    at = told = counted = muted = 0
    wrong: list[str] = []
    for state, edition_id, after, up_to in rows:
        window = {number for number in posts if at < number <= up_to}
        if state == "composed":
            (section,) = (one for one in stored.load(connection, edition_id).sections if one.membership_id == member)
            numbers = [number for entry in section.entries for number in getattr(entry.fragment, "numbers", ())]
            left = section.heading.more_posts + section.heading.muted_posts
            if after != at:
                wrong.append(f"member {member}: a window begins at {after} where the one before it ended at {at}")
            if len(numbers) != len(set(numbers)) or not window.issuperset(numbers):
                wrong.append(f"member {member}, up to {up_to}: a post is told twice, or out of its window")
            if len(numbers) + left != len(window):
                wrong.append(f"member {member}, up to {up_to}: {len(numbers)} told, {left} counted of {len(window)}")
            told += len(numbers)
            counted += section.heading.more_posts
            muted += section.heading.muted_posts
        elif window:
            wrong.append(f"member {member}, up to {up_to}: {len(window)} posts are in a section that is {state}")
        at = up_to
    if told + counted + muted != len(posts):
        wrong.append(f"member {member}: {told} told, {counted} counted, {muted} muted of {len(posts)} posts")
    return Account(told=told, counted=counted, muted=muted, wrong=tuple(wrong))
