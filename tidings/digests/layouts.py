"""An edition as a whole, before it is stored: what it tells numbered through and cut to size, under its subject.

It writes nothing; previews print a draft as it is, and freeze stores it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain

import msgspec
from msgspec.structs import replace

from tidings.archive.sentences import clean, shorten
from tidings.communities import languages
from tidings.digests import enclosures, render, rhythms
from tidings.digests.cutting import Cut, cut_bytes, cut_words
from tidings.digests.direction import BEGIN, END, in_text
from tidings.digests.drafts import Part
from tidings.digests.fragments import YOU, Conversation, Cover, Fragment, Heading, Meeting, Personal, Task, Topic, Turn
from tidings.digests.lint import HTML_LIMIT
from tidings.digests.stored import Entry, Printed, Section
from tidings.digests.weeks import Weeks
from tidings.digests.words import Words
from tidings.digests.words import words as words_of
from tidings.mailer.addresses import EDITION_PREFIX
from tidings.settings import SiteSettings
from tidings.tokens import random_token

_SUBJECT_LENGTH = 60
_PREHEADER_LENGTH = 110
_NAME_LENGTH = 60
_STEP = 64  # bytes by which greetings are told apart: most are of one length


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An edition that is not stored; the sections of `printed` are those of `parts`, in their order."""

    parts: tuple[Part, ...]
    printed: Printed


class _Layout(msgspec.Struct, frozen=True, kw_only=True):
    """An edition but for its reader: the sections are nobody's, and the cover is not among their entries."""

    subject: str
    preheader: str
    headings: tuple[Heading, ...]
    sections: tuple[Section, ...]


def draft(parts: Iterable[Part], now: datetime, site: SiteSettings, weeks: Weeks) -> Draft:
    """The edition of these parts (one at least), cut until it is short enough to be read and not to be clipped.

    Its layout is made once for all who are told the same: what `weeks` keeps is of the moment `now`.
    """
    kept = sorted(parts, key=lambda part: part.news.heading.title.casefold())
    first = kept[0]
    # In the language of the first community, where its reader chose none.
    language = languages.read_by(first.member.language, first.community.language)
    words = words_of(language, first.zone, now.year)
    reader = shorten(clean(first.member.name), _NAME_LENGTH)
    length, escaped = render.greeting_weight(words, reader, first.news.heading.since)
    greeting = length + -length % _STEP, escaped + -escaped % _STEP
    layout = weeks.layout(
        (words, greeting, tuple([(part.news, part.member.format) for part in kept])),
        lambda: _lay_out(kept, words, greeting, site),
    )
    cover = Cover(reader=reader, preheader=layout.preheader, headings=layout.headings)
    whole = Entry(number=0, block="edition", fragment=cover, subject=layout.subject)
    sections = [
        replace(section, membership_id=part.member.membership_id)
        for section, part in zip(layout.sections, kept, strict=True)
    ]
    sections[0] = replace(sections[0], entries=(whole, *sections[0].entries))
    printed = Printed(
        subject=layout.subject,
        zone=first.zone,
        language=language,
        format=first.member.format,
        recipient=first.member.email,
        message_id=f"{EDITION_PREFIX}{random_token()}@{site.domain}",
        composed_at=now,
        cover=cover,
        sections=tuple(sections),
    )
    return Draft(parts=tuple(kept), printed=printed)


def _lay_out(parts: Sequence[Part], words: Words, greeting: tuple[int, int], site: SiteSettings) -> _Layout:
    """The parts cut and numbered, with room for a `greeting` of that weight (mailer.compose.weigh)."""
    cuts = [
        Cut(
            part.news.heading,
            part.news.entries,
            whole=part.news.whole,
            weigh=render.weigher(words, part.community, site),
            keeps_numbers=part.member.format in enclosures.FORMATS,
        )
        for part in parts
    ]
    cut_words(cuts)
    layout = _layout(parts, cuts, words)
    around = render.frame_weight(layout.sections, words, parts[0].member.format, site)
    own = render.own_weight(layout.subject, layout.preheader)
    length, escaped = (sum(weights) for weights in zip(around, own, greeting, strict=True))
    return _layout(parts, cuts, words) if cut_bytes(cuts, (length, escaped), HTML_LIMIT) else layout


def _layout(parts: Iterable[Part], cuts: Sequence[Cut], words: Words) -> _Layout:
    sections = tuple(_numbered(parts, cuts))
    return _Layout(
        subject=_subject(sections, words),
        preheader=_preheader(sections),
        headings=tuple(section.heading for section in sections),
        sections=sections,
    )


def _numbered(parts: Iterable[Part], cuts: Iterable[Cut]) -> Iterable[Section]:
    """What is left of the parts, numbered from 1 through all of them."""
    number = 1
    for part, cut in zip(parts, cuts, strict=True):
        left = cut.entries if cut.is_cut else part.news.entries
        entries = tuple([entry.numbered(place) for place, entry in enumerate(left, number)])
        number += len(entries)
        yield Section(
            community=part.community.name,
            domain=part.community.domain,
            membership_id=0,
            heading=cut.heading,
            entries=entries,
        )


def _preheader(sections: Iterable[Section]) -> str:
    """The most useful sentence: what concerns the reader, else the first that somebody else wrote."""
    fragments = [entry.fragment for section in sections for entry in section.entries]
    personal = (one.post for one in fragments if isinstance(one, Personal))
    conversations = (told for one in fragments if isinstance(one, Conversation) for told in one.told or one.lines)
    told = chain(personal, conversations)
    sentence = next((f"{one.author}: {one.text}" for one in told if one.author != YOU and one.text), "")
    topics = "; ".join(one.title for one in fragments if isinstance(one, Topic))
    return shorten(sentence or topics, _PREHEADER_LENGTH)


def _subject(sections: Sequence[Section], words: Words) -> str:
    """`Pump team weekly: 2 for you, meeting Tue 14:00`, in 60 characters."""
    fragments = [entry.fragment for section in sections for entry in section.entries]
    first, news = sections[0].heading, _news(sections, fragments, words)
    meetings = [one for one in fragments if isinstance(one, Meeting)]
    meeting = _of_next(min(meetings, key=lambda one: one.start), words) if meetings else ""
    more = f" +{len(sections) - 1}" if len(sections) > 1 else ""

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


def _news(sections: Sequence[Section], fragments: Sequence[Fragment], words: Words) -> Sequence[str]:
    """How many items are for the reader; where none is, how many posts are new, or what is asked of them.

    Empty for an agenda, whose meeting says it.
    """
    if all(section.heading.rhythm in rhythms.OF_MEETINGS for section in sections):
        return _asked(fragments, words)
    personal = sum(isinstance(one, Personal) for one in fragments)
    if personal:
        return [words.count("%(number)s for you", "%(number)s for you", personal)]
    new = sum(len(getattr(one, "numbers", ())) for one in fragments)
    new += sum(section.heading.more_posts for section in sections)
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
