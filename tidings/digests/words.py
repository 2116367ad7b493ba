"""The words of an edition in its reader's language: sentences around what members wrote, dates, counts, lists.

English stands in the code and in the templates; the catalogs in locale/ have the other languages (gettext). What
members wrote is kept apart in them (direction). It knows no template and no database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from babel.dates import format_date, format_datetime, get_day_names
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from tidings.archive.sentences import QUESTION_MARKS
from tidings.clock import zone
from tidings.digests import rhythms
from tidings.digests.direction import apart
from tidings.digests.fragments import (
    YOU,
    Attached,
    Conversation,
    Heading,
    Meeting,
    Opening,
    Personal,
    Settled,
    Timing,
    Title,
)
from tidings.digests.names import NO_SUBJECT

LOCALE = Path(__file__).parent / "locale"
_NAMES = 4
_FILES = 3
# As CLDR has them (MMMEd) but for English, whose own is American.
_DAYS = {"en": "EEE d MMM", "de": "EEE, d. MMM", "es": "EEE, d MMM", "fr": "EEE d MMM"}


@cache
def catalog(language: str) -> NullTranslations:
    """The sentences of a language; English ones are as they stand in the code."""
    if language == "en":
        return NullTranslations()
    with (LOCALE / f"{language}.po").open("rb") as file:
        made = BytesIO()
        write_mo(made, read_po(file, locale=language, abort_invalid=True))
    made.seek(0)
    return Translations(made)


@dataclass(frozen=True, kw_only=True)
class Words:
    """How one reader is spoken to: in their language, with times in their zone; `year` need not be said."""

    language: str
    zone: str
    year: int

    # --- times ---

    def day(self, moment: datetime) -> str:
        """`Tue 14 Oct`, with the year where it is another than the edition's."""
        pattern = _DAYS[self.language]
        same = moment.astimezone(zone(self.zone)).year == self.year
        return self._format(moment, pattern if same else f"{pattern} y")

    def whole_day(self, day: date) -> str:
        """`Fri 16 Oct`, of a day that is no moment."""
        pattern = _DAYS[self.language]
        return str(format_date(day, pattern if day.year == self.year else f"{pattern} y", locale=self.language))

    def time(self, moment: datetime) -> str:
        """`14:00`."""
        return self._format(moment, "HH:mm")

    def full(self, moment: datetime) -> str:
        """`Tue 14 Oct 14:00`."""
        return self.say("%(day)s %(time)s", day=self.day(moment), time=self.time(moment))

    def weekday(self, moment: datetime) -> str:
        """`Tue 14:00`."""
        return self._format(moment, "EEE HH:mm")

    def _format(self, moment: datetime, pattern: str) -> str:
        return format_datetime(moment, pattern, tzinfo=zone(self.zone), locale=self.language)

    # --- sentences ---

    def say(self, text: str, /, **values: object) -> str:
        """A sentence of the catalog with its values."""
        return catalog(self.language).gettext(text) % values

    def count(self, one: str, many: str, number: int, /, **values: object) -> str:
        """A sentence of the catalog for that number, which it has as `%(number)s`."""
        return catalog(self.language).ngettext(one, many, number) % {"number": number, **values}

    # --- people, posts and files ---

    def title(self, title: str) -> str:
        """What a thread is called."""
        return self.say("(no subject)") if title == NO_SUBJECT else apart(title)

    def person(self, author: str) -> str:
        """An author at the beginning of a line; the reader is called you."""
        return self.say("You") if author == YOU else apart(author)

    def inside(self, author: str) -> str:
        """An author within a sentence; the reader is called you."""
        return self.say("you") if author == YOU else apart(author)

    def by(self, author: str) -> str:
        """`by Ana`."""
        return self.say("by you") if author == YOU else self.say("by %(author)s", author=apart(author))

    def names(self, authors: Sequence[str]) -> str:
        """`Ana, Raj, you, Li, +2`."""
        more = [f"+{len(authors) - _NAMES}"] if len(authors) > _NAMES else []
        return ", ".join([*map(self.inside, authors[:_NAMES]), *more])

    def said(self, text: str) -> str:
        """What was said, or that there was nothing but quotes."""
        return apart(text) or self.say("(no words of its own)")

    def files(self, attached: Sequence[Attached]) -> str:
        """`pressure.csv (18 kB), +2 more`."""
        shown = [f"{apart(file.name)} ({self._size(file.size)})" for file in attached[:_FILES]]
        more = len(attached) - _FILES
        return ", ".join(shown + ([self.count("+%(number)s more", "+%(number)s more", more)] if more > 0 else []))

    def _size(self, size: int) -> str:
        if size < 1_000_000:
            return self.say("%(size)s kB", size=max(round(size / 1_000), 1))
        return self.say("%(size)s MB", size=format_decimal(size / 1_000_000, "#,##0.0", locale=self.language))

    def fresh(self, told: Conversation | Title) -> str:
        """`3 new of 14`, or how many posts a thread has where all are new."""
        new = len(told.numbers)
        if told.posts <= new:
            return self.count("%(number)s new post", "%(number)s new posts", new)
        return self.count("%(number)s new of %(all)s", "%(number)s new of %(all)s", new, all=told.posts)

    def started(self, opening: Opening) -> str:
        """How a thread began: at most a line."""
        day, author = self.day(opening.date), self.by(opening.author)
        if not opening.sentence:
            return self.say("Started %(day)s %(by_author)s", day=day, by_author=author)
        return self.say(
            "Started %(day)s %(by_author)s: %(text)s", day=day, by_author=author, text=apart(opening.sentence)
        )

    def further(self, posts: int) -> str:
        """Of the posts of a thread that are only counted."""
        return self.count("%(number)s more post, in the archive", "%(number)s more posts, in the archive", posts)

    # --- blocks ---

    def block(self, block: str, week: str = "") -> str:
        """What stands over a block, or over the conversations of one week."""
        weeks = {
            "this week": self.say("Conversations this week"),
            "last week": self.say("Conversations last week"),
            "earlier": self.say("Conversations before"),
        }
        return (
            weeks.get(week)
            or {
                "for-you": self.say("For you"),
                "turn": self.say("Your turn"),
                "action": self.say("Your actions"),
                "meeting": self.say("Next meeting"),
                "topic": self.say("On the agenda"),
                "recap": self.say("The meeting before"),
                "settled": self.say("Decided and answered"),
                "unanswered": self.say("Still needs an answer"),
                "conversation": self.say("Conversations"),
                "title": self.say("Also new"),
            }[block]
        )

    def concern(self, told: Personal) -> str:
        """Who turned to the reader, and how."""
        author = apart(told.post.author)
        if told.concern == "mention":
            return self.say("%(author)s named you", author=author)
        if told.concern == "field":
            return self.say("%(author)s asks, in your field", author=author)
        if told.post.text.rstrip(" .").endswith(QUESTION_MARKS):
            return self.say("%(author)s asked you", author=author)
        return self.say("%(author)s answered you", author=author)

    def outcome(self, told: Settled) -> str:
        """What kind of result it is; of an action, whose it is and by when."""
        if told.outcome == "action":
            return self.say("%(action)s:", action=self.action(told.owner, told.due))
        return {"answer": self.say("Answered:"), "decision": self.say("Decided:"), "used": self.say("Used:")}[
            told.outcome
        ]

    def action(self, owner: str, due: date | None) -> str:
        """`Action for Raj by Fri 16 Oct`."""
        who, day = apart(owner) if owner else "", self.whole_day(due) if due else ""
        if owner == YOU:
            return self.say("Your action by %(day)s", day=day) if day else self.say("Your action")
        if who and day:
            return self.say("Action for %(owner)s by %(day)s", owner=who, day=day)
        if who:
            return self.say("Action for %(owner)s", owner=who)
        return self.say("Action by %(day)s", day=day) if day else self.say("Action")

    def duty(self, meeting: Meeting) -> str:
        """What the reader's rota says to a meeting."""
        if meeting.duty_start is None or meeting.duty_end is None:
            return self.say("You are off shift then.")
        start, end = self.time(meeting.duty_start), self.time(meeting.duty_end)
        if meeting.duty == "sleep":
            return self.say("You are on nights then, off shift at %(end)s.", end=end)
        if meeting.duty == "night":
            return self.say("You are on nights then (%(start)s-%(end)s).", start=start, end=end)
        return self.say("You are at work then (%(start)s-%(end)s).", start=start, end=end)

    # --- the edition ---

    def name(self, community: str, rhythm: str) -> str:
        """`Pump team weekly`."""
        if rhythm == "daily":
            return self.say("%(community)s daily", community=apart(community))
        if rhythm == "each":
            return self.say("%(community)s catch-up", community=apart(community))
        if rhythm == "agenda":
            return self.say("%(community)s agenda", community=apart(community))
        if rhythm == "remind":
            return self.say("%(community)s reminder", community=apart(community))
        return self.say("%(community)s weekly", community=apart(community))

    def greeting(self, reader: str, since: datetime | None) -> str:
        """Whom it is for, and since when things are new."""
        if since is None:
            return self.say("For %(reader)s.", reader=apart(reader)) if reader else self.say("For you.")
        if not reader:
            return self.say("For you, new since %(day)s.", day=self.day(since))
        return self.say("For %(reader)s, new since %(day)s.", reader=apart(reader), day=self.day(since))

    def quiet(self, heading: Heading) -> list[str]:
        """When nothing was new, a sentence for each such time."""
        if isinstance(heading.quiet, datetime):
            return [self.say("Nothing was new until %(day)s, so no mail was sent then.", day=self.day(heading.quiet))]
        return [
            self.say(
                "It was quiet from %(begin)s to %(end)s: nothing was new, so no mail was sent.",
                begin=self.day(one.begin),
                end=self.day(one.end),
            )
            for one in heading.quiet or ()
        ]

    def more(self, heading: Heading) -> str:
        """What was left out, counted."""
        threads, posts = heading.more_threads, heading.more_posts
        conversations = self.count("+%(number)s more conversation", "+%(number)s more conversations", threads)
        new = self.count("%(number)s new post", "%(number)s new posts", posts)
        return self.say("%(conversations)s with %(posts)s, in the archive", conversations=conversations, posts=new)

    def muted(self, heading: Heading) -> str:
        """What is new in threads that the reader muted."""
        return self.count(
            "%(number)s more post is in threads that you muted.",
            "%(number)s more posts are in threads that you muted.",
            heading.muted_posts,
        )

    def no_room(self, posts: int) -> str:
        """Of the posts for which a mail that has posts in it had no room."""
        return self.count(
            "%(number)s post is not in this mail, which would be too long; read it here:",
            "%(number)s posts are not in this mail, which would be too long; read them here:",
            posts,
        )

    def other_format(self, format_: str) -> str:
        """How to have a digest of another format; `format_` is the one that this is of."""
        if format_ == "html":
            return self.say("Text only: reply with `format text`.")
        return self.say("With HTML: reply with `format html`.")

    def why(self, heading: Heading) -> str:
        """Why the reader gets it."""
        title = apart(heading.title)
        if heading.rhythm == "daily":
            return self.say("You are a member of %(community)s and chose one mail a day.", community=title)
        if heading.rhythm == "each":
            return self.say("You are a member of %(community)s and get each message.", community=title)
        if heading.rhythm in rhythms.OF_MEETINGS:
            return self.say(
                "You are a member of %(community)s; an agenda comes at the start of a shift before each meeting.",
                community=title,
            )
        return self.say("You are a member of %(community)s and chose one mail a week.", community=title)

    # --- when it comes ---

    def comes(self, timing: Timing | str) -> str:
        """The sentence that says when mail of a community comes."""
        if isinstance(timing, str):
            return timing
        match timing.comes:
            case "between shifts":
                return self.say("What comes between your shifts waits until the next one starts.")
            case "awake":
                return self.say("What comes in your sleep after a night shift waits until you are up.")
            case "day" if timing.weekday is None:
                return self.say("It comes every day at %(time)s.", time=timing.time)
            case "day":
                return self.say("It comes on %(weekday)ss at %(time)s.", weekday=self._named(timing), time=timing.time)
            case _:
                return self._by_shift(timing)

    def _by_shift(self, timing: Timing) -> str:
        cut_off = self._cut_off(timing)
        if timing.comes == "end":
            return self.say(
                "It comes %(minutes)s minutes before your first shift after %(cut_off)s ends.",
                minutes=timing.minutes,
                cut_off=cut_off,
            )
        if timing.comes == "off":
            return self.say(
                "It comes at %(time)s on your first day off after %(cut_off)s.", time=timing.hour, cut_off=cut_off
            )
        return self.say("It comes when your first shift after %(cut_off)s starts.", cut_off=cut_off)

    def _cut_off(self, timing: Timing) -> str:
        """`Sunday 18:00 (Europe/Berlin)`."""
        if timing.weekday is None:
            return self.say("%(time)s (%(zone)s)", time=timing.time, zone=timing.zone)
        day = self._named(timing)
        return self.say("%(weekday)s %(time)s (%(zone)s)", weekday=day, time=timing.time, zone=timing.zone)

    def _named(self, timing: Timing) -> str:
        return str(get_day_names("wide", locale=self.language)[timing.weekday or 0])


@lru_cache(maxsize=512)
def words(language: str, zone_name: str, year: int) -> Words:
    """The words of a language, with times in that zone; one and the same for all readers of both."""
    return Words(language=language, zone=zone_name, year=year)
