"""What one edition says, before it is stored: a part for each community, numbered through and cut to size.

It writes nothing; previews print a draft as it is, and freeze stores it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain

from sqlalchemy import Connection

from tidings.archive.sentences import clean, shorten
from tidings.communities import languages
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.digests import enclosures, render, rhythms, schedule, select, telling
from tidings.digests.agendas import Agendas, concerns
from tidings.digests.cutting import Cut, cut_bytes, cut_words
from tidings.digests.direction import BEGIN, END, in_text
from tidings.digests.fragments import (
    YOU,
    Conversation,
    Cover,
    Fragment,
    Heading,
    Meeting,
    Personal,
    Recap,
    Settled,
    Task,
    Title,
    Topic,
    Turn,
    Unanswered,
)
from tidings.digests.history import History, Window
from tidings.digests.lint import HTML_LIMIT
from tidings.digests.stored import Entry, Printed, Section
from tidings.digests.week import STRANGER, Fresh, Reader, Week
from tidings.digests.weeks import Weeks
from tidings.digests.words import Words
from tidings.digests.words import words as words_of
from tidings.mailer.addresses import EDITION_PREFIX
from tidings.settings import SiteSettings
from tidings.tokens import Tokens, random_token

_WORDS = (120, 120, 80, 80, 60)  # of a conversation, by its place; the last stands for all further ones
_SUBJECT_LENGTH = 60
_PREHEADER_LENGTH = 110
_NAME_LENGTH = 60
_OWN = ("turn", "action")  # blocks of what the reader has to do

NO_KEY = Tokens(bytes(32))
"""Mints what is only measured, or shown in a preview and never answered."""

Answerable = Personal | Settled | Unanswered | Conversation | Title


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one community tells one member, its entries not yet numbered."""

    member: Member
    community: Community
    zone: str  # the reader's
    heading: Heading
    entries: tuple[Entry, ...]
    whole: bool = False  # what it tells is told nowhere else, so that nothing of it may be cut


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An edition that is not stored; the sections of `printed` are those of `parts`, in their order."""

    parts: tuple[Part, ...]
    printed: Printed


# --- one community ---------------------------------------------------------------------------------------------------


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
    now: datetime,
    site: SiteSettings,
    said: Sequence[Entry] = (),
) -> Part | None:
    """What the member is told of the archive numbers (cursor, up_to]; None where they need not be told anything.

    Where an agenda is due at the same time, its items are `said` in place of the next meeting. Where nothing is new, a
    meeting, an action or an open question may still concern them.
    """
    week = weeks.week(connection, community, member.cursor, up_to)
    if week.is_strange_to(reader):
        of = (community.id, "strangers", member.cursor, up_to, before.windows)
        blocks = weeks.once(of, lambda: _blocks(connection, week, STRANGER, community, before.windows, weeks))
    else:
        blocks = _blocks(connection, week, reader, community, before.windows, weeks)
    chosen = blocks.chosen
    said = said or _of_meetings(agendas, community, member, reader, roster)
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
    more = chosen.more_numbers if member.format in enclosures.FORMATS else ()
    # All that it is made of but what is the community's own: a heading is the same for most.
    timed_by = (member.delivery, member.digest_at, member.digest_weekday, member.digest_time, roster is None)
    counted = (chosen.more_threads, chosen.more_posts, chosen.muted_posts, more)
    heading = weeks.once(
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
    return Part(
        member=member,
        community=community,
        zone=schedule.zone_of(member, roster, site.zone),
        heading=heading,
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


# --- the edition as a whole ------------------------------------------------------------------------------------------


def draft(parts: Iterable[Part], now: datetime, site: SiteSettings) -> Draft:
    """The edition of these parts (one at least), cut until it is short enough to be read and not to be clipped."""
    kept = sorted(parts, key=lambda part: part.heading.title.casefold())
    words = _words(kept, now)
    sections = [
        Cut(
            part.heading,
            part.entries,
            whole=part.whole,
            weigh=render.weigher(words, part.community, site),
            keeps_numbers=part.member.format in enclosures.FORMATS,
        )
        for part in kept
    ]
    cut_words(sections)
    kept = _shortened(kept, sections)
    printed = _printed(kept, now, site)
    if cut_bytes(sections, render.frame_weight(printed, site), HTML_LIMIT):
        kept = _shortened(kept, sections)
        printed = _printed(kept, now, site)
    return Draft(parts=tuple(kept), printed=printed)


def _shortened(parts: Iterable[Part], sections: Iterable[Cut]) -> list[Part]:
    return [
        replace(part, heading=section.heading, entries=tuple(section.entries)) if section.is_cut else part
        for part, section in zip(parts, sections, strict=True)
    ]


def _words(parts: Sequence[Part], now: datetime) -> Words:
    """How the reader is spoken to: in the language of the first part's community, where they chose none."""
    first = parts[0]
    return words_of(languages.read_by(first.member.language, first.community.language), first.zone, now.year)


def _printed(parts: Sequence[Part], now: datetime, site: SiteSettings) -> Printed:
    """The edition of these parts: numbered through, under its cover."""
    first = parts[0]
    cover = Cover(
        reader=shorten(clean(first.member.name), _NAME_LENGTH),
        preheader=_preheader(parts),
        headings=tuple(part.heading for part in parts),
    )
    words = _words(parts, now)
    subject = _subject(parts, words)
    return Printed(
        subject=subject,
        zone=first.zone,
        language=words.language,
        format=first.member.format,
        recipient=first.member.email,
        message_id=f"{EDITION_PREFIX}{random_token()}@{site.domain}",
        composed_at=now,
        cover=cover,
        sections=tuple(_numbered(parts, Entry(number=0, block="edition", fragment=cover, subject=subject))),
    )


def _numbered(parts: Sequence[Part], whole: Entry) -> Iterable[Section]:
    """The sections, their entries numbered from 1 through all of them; `whole` leads the first."""
    number = 1
    for part in parts:
        entries = [entry.numbered(place) for place, entry in enumerate(part.entries, number)]
        yield Section(
            community=part.community.name,
            domain=part.community.domain,
            membership_id=part.member.membership_id,
            heading=part.heading,
            entries=tuple(entries if number > 1 or part is not parts[0] else [whole, *entries]),
        )
        number += len(entries)


def _preheader(parts: Sequence[Part]) -> str:
    """The most useful sentence: what concerns the reader, else the first that somebody else wrote."""
    fragments = [entry.fragment for part in parts for entry in part.entries]
    personal = (one.post for one in fragments if isinstance(one, Personal))
    conversations = (told for one in fragments if isinstance(one, Conversation) for told in one.told or one.lines)
    told = chain(personal, conversations)
    sentence = next((f"{one.author}: {one.text}" for one in told if one.author != YOU and one.text), "")
    topics = "; ".join(one.title for one in fragments if isinstance(one, Topic))
    return shorten(sentence or topics, _PREHEADER_LENGTH)


def _subject(parts: Sequence[Part], words: Words) -> str:
    """`Pump team weekly: 2 for you, meeting Tue 14:00`, in 60 characters."""
    fragments = [entry.fragment for part in parts for entry in part.entries]
    first, news = parts[0].heading, _news(parts, fragments, words)
    meetings = [one for one in fragments if isinstance(one, Meeting)]
    meeting = _of_next(min(meetings, key=lambda one: one.start), words) if meetings else ""
    more = f" +{len(parts) - 1}" if len(parts) > 1 else ""

    def made(title: str, news: str) -> str:
        name = words.name(f"{title}{more}", first.rhythm)
        return in_text(words.say("%(name)s: %(news)s", name=name, news=news))

    of_meeting = first.rhythm in rhythms.OF_MEETINGS
    found = list(filter(None, (meeting, *news) if of_meeting else (*news, meeting)))
    for many in range(len(found), 0, -1):
        if len(whole := made(first.title, ", ".join(found[:many]))) <= _SUBJECT_LENGTH:
            return whole
    room = _SUBJECT_LENGTH - len(made("", found[0])) - len(BEGIN + END)
    return made(shorten(first.title, room), found[0])


def _of_next(meeting: Meeting, words: Words) -> str:
    """`meeting Tue 14:00`, and what became of it."""
    time = words.weekday(meeting.start)
    if meeting.change == "cancelled":
        return words.say("no meeting %(time)s", time=time)
    if meeting.change == "moved":
        return words.say("meeting moved to %(time)s", time=time)
    return words.say("meeting %(time)s", time=time)


def _news(parts: Sequence[Part], fragments: Sequence[Fragment], words: Words) -> Sequence[str]:
    """How many items are for the reader; where none is, how many posts are new, or what is asked of them.

    Empty for an agenda, whose meeting says it.
    """
    if all(part.heading.rhythm in rhythms.OF_MEETINGS for part in parts):
        return _asked(fragments, words)
    personal = sum(isinstance(one, Personal) for one in fragments)
    if personal:
        return [words.count("%(number)s for you", "%(number)s for you", personal)]
    new = sum(len(getattr(one, "numbers", ())) for one in fragments) + sum(part.heading.more_posts for part in parts)
    return [words.count("%(number)s new post", "%(number)s new posts", new) if new else words.say("nothing new")]


def _asked(fragments: Sequence[Fragment], words: Words) -> Sequence[str]:
    """What a reader is to do, by a mail that tells of no posts."""
    said: list[str] = []
    turn = next((one for one in fragments if isinstance(one, Turn)), None)
    if turn is not None and any(isinstance(one, Meeting) for one in fragments):
        said.append(words.say("your turn"))
    elif turn is not None:
        said.append(words.say("your turn %(time)s", time=words.full(turn.start)))
    if tasks := sum(isinstance(one, Task) for one in fragments):
        said.append(words.count("%(number)s action of yours", "%(number)s actions of yours", tasks))
    return said
