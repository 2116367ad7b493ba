"""What each community tells a member, before it is laid out as an edition (layouts); it writes nothing."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec
from sqlalchemy import Connection

from tidings.archive.sentences import clean
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.digests import enclosures, rhythms, schedule, select, telling
from tidings.digests.agendas import Agendas, concerns
from tidings.digests.fragments import (
    Conversation,
    Fragment,
    Heading,
    Meeting,
    Personal,
    Recap,
    Settled,
    Title,
    Topic,
    Unanswered,
)
from tidings.digests.history import History, Window
from tidings.digests.stored import Entry
from tidings.digests.week import STRANGER, Fresh, Reader, Week
from tidings.digests.weeks import Weeks
from tidings.settings import SiteSettings

_WORDS = (120, 120, 80, 80, 60)  # of a conversation, by its place; the last stands for all further ones
_OWN = ("turn", "action")  # blocks of what the reader has to do

Answerable = Personal | Settled | Unanswered | Conversation | Title


class News(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one community tells, its entries not yet numbered: one and the same for all strangers to its week."""

    heading: Heading
    entries: tuple[Entry, ...]
    whole: bool = False  # what it tells is told nowhere else, so that nothing of it may be cut


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one community tells one member; `zone` is the reader's."""

    member: Member
    community: Community
    zone: str
    news: News


def tell(
    connection: Connection,
    community: Community,
    member: Member,
    *,
    rhythm: str,
    up_to: int,
    before: History,
    reader: Reader,
    roster: Roster | None,
    weeks: Weeks,
    agendas: Agendas,
    site: SiteSettings,
    said: Sequence[Entry] = (),
) -> Part | None:
    """What the member is told of the archive numbers (cursor, up_to]; None where they need not be told anything.

    Where an agenda is due at the same time, its items are `said` in place of the next meeting. Where nothing is new, a
    meeting, an action or an open question may still concern them.
    """
    week = weeks.week(connection, community, member.cursor, up_to)
    said = said or _of_meetings(agendas, community, member, reader, roster)
    # All that it is made of but what is the community's own.
    timed_by = (member.delivery, member.digest_at, member.digest_weekday, member.digest_time, roster is None)

    def heading(chosen: select.Chosen) -> Heading:
        """The same for most: those who are told the same share what is printed of it."""
        more = chosen.more_numbers if member.format in enclosures.FORMATS else ()
        counted = (chosen.more_threads, chosen.more_posts, chosen.muted_posts, more)
        return weeks.once(
            (community.id, "heading", rhythm, *timed_by, *counted, before.since, before.quiet),
            lambda: replace(
                heading_of(community, member, roster, rhythm),
                since=before.since,
                quiet=before.quiet,
                more_threads=chosen.more_threads,
                more_posts=chosen.more_posts,
                muted_posts=chosen.muted_posts,
                more_numbers=more,
            ),
        )

    if week.is_strange_to(reader):
        of = (community.id, "strangers", member.cursor, up_to)
        blocks = weeks.once(
            (*of, before.windows), lambda: _blocks(connection, week, STRANGER, community, before.windows, weeks)
        )
        of_meetings = tuple([(one.block, one.fragment, one.subject, one.answers, one.about_id) for one in said])
        encloses = member.format in enclosures.FORMATS
        news = weeks.once(
            (*of, before, rhythm, *timed_by, encloses, of_meetings), lambda: _as_news(blocks, said, heading)
        )
    else:
        news = _as_news(_blocks(connection, week, reader, community, before.windows, weeks), said, heading)
    if news is None:
        return None
    return Part(member=member, community=community, zone=schedule.zone_of(member, roster, site.zone), news=news)


def _as_news(blocks: "_Blocks", said: Sequence[Entry], heading: Callable[[select.Chosen], Heading]) -> News | None:
    """The blocks with what is `said` of meetings in its place; None where nothing of it needs to be told."""
    chosen = blocks.chosen
    on_agenda = {one.answers for one in said if isinstance(one.fragment, Topic) and not one.fragment.offered}
    unanswered = [one for one in chosen.unanswered if one.asked.message_id not in on_agenda]
    asked, below = {one.asked.message_id for one in unanswered}, blocks.below
    said = [one for one in said if one.block != "topic" or one.answers not in asked]  # a question is in one block
    recaps = [one.fragment for one in said if isinstance(one.fragment, Recap)]
    if printed := {(note.kind, note.text) for one in recaps for note in one.noted}:  # nobody reads a line twice
        below = tuple(one for one in below if not _is_in(printed, one.fragment))
    if len(unanswered) < len(chosen.unanswered):
        kept = {one.asked.id for one in unanswered}
        below = tuple(one for one in below if one.block != "unanswered" or one.post_id in kept)
    if not blocks.new:
        said = [one for one in said if not isinstance(one.fragment, Meeting) or _concerns(one.fragment)]
        if not unanswered and not said:
            return None
    return News(
        heading=heading(chosen),
        entries=(
            *(one for one in said if one.block in _OWN),
            *blocks.above,
            *(one for one in said if one.block not in _OWN),
            *below,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """What a week tells one reader, or all strangers to it: the items above and below those of meetings."""

    chosen: select.Chosen
    new: bool
    above: tuple[Entry, ...]
    below: tuple[Entry, ...]


def _blocks(
    connection: Connection,
    week: Week,
    reader: Reader,
    community: Community,
    windows: Sequence[Window],
    weeks: Weeks,
) -> _Blocks:
    chosen = select.choose(week, reader, windows)
    new = chosen.new
    if not new:
        chosen = replace(chosen, unanswered=tuple(select.concerned(week, reader)))
    return _Blocks(
        chosen=chosen,
        new=new,
        above=tuple(_above(chosen, reader, community, weeks)),
        below=tuple(_below(connection, chosen, reader, community, weeks)),
    )


def _of_meetings(
    agendas: Agendas, community: Community, member: Member, reader: Reader, roster: Roster | None
) -> Sequence[Entry]:
    """What a digest says of meetings: the member's actions, and the next one."""
    meeting = agendas.next_meeting(community, member, reader, roster)
    return [*agendas.tasks(community, member), *([meeting] if meeting else [])]


def _is_in(printed: Collection[tuple[str, str]], fragment: Fragment) -> bool:
    """Whether it is a line of minutes that is printed already."""
    return isinstance(fragment, Settled) and (fragment.outcome, fragment.text) in printed


def _concerns(meeting: Meeting) -> bool:
    """Whether a meeting concerns who reads of nothing else: they can come, or an agenda was due to them anyway."""
    return meeting.invitation is not None or concerns(meeting)


def heading_of(community: Community, member: Member, roster: Roster | None, rhythm: str) -> Heading:
    """What stands over and under a section that tells nothing yet."""
    return Heading(
        title=clean(community.title),
        rhythm=rhythm,
        timing="" if rhythm in rhythms.OF_MEETINGS else schedule.timing(member, roster, community),
        since=None,
        quiet=(),
        more_threads=0,
        more_posts=0,
    )


def _above(chosen: select.Chosen, reader: Reader, community: Community, weeks: Weeks) -> Iterable[Entry]:
    """The items that concern the reader; what other readers were told is not made again."""
    for one in chosen.for_you:
        concern = (community.id, "for-you", one.concern, one.post.id)
        yield _entry("for-you", weeks.once(concern, partial(telling.personal, one, reader)), one.post)


def _below(
    connection: Connection, chosen: select.Chosen, reader: Reader, community: Community, weeks: Weeks
) -> Iterable[Entry]:
    """The items of the blocks below those of meetings, block by block."""
    of = community.id
    for result in chosen.settled:
        theirs = result.author_key in reader.keys, bool(result.owner_keys & reader.keys)
        outcome = (of, "settled", result.card_id, *theirs)
        yield _entry("settled", weeks.once(outcome, partial(telling.settled, result, reader)), result.said)
    for question in chosen.unanswered:
        asked = (of, "unanswered", question.asked.id, question.new)
        yield _entry("unanswered", weeks.once(asked, partial(telling.unanswered, question, reader)), question.asked)
    for place, (thread, label) in enumerate(chosen.conversations):
        words = _WORDS[min(place, len(_WORDS) - 1)]
        told = weeks.conversation(connection, community, thread, reader, words=words, week=label)
        yield _entry("conversation", told, thread.fresh[-1])
    for thread in chosen.titles:
        yield _entry("title", weeks.title(community, thread, reader), thread.fresh[-1])


def _entry(block: str, fragment: Answerable, post: Fresh) -> Entry:
    """An item that is answered by answering a post."""
    return Entry(
        number=0,
        block=block,
        fragment=fragment,
        subject=f"Re: {fragment.title}",
        answers=post.message_id,
        post_id=post.id,
    )
