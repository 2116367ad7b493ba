"""A session of a meeting as calendars see it, for invitations and for feeds; pure over what the agenda says.

Whom it is sent to, and what they answered, is not its matter, nor how it is written (mailer.events).
"""

from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from tidings.archive.sentences import clean
from tidings.communities import languages
from tidings.communities.directory import Community
from tidings.digests.direction import apart, in_text
from tidings.digests.meetings import wording
from tidings.digests.meetings.agenda import Agenda
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.words import Words
from tidings.mailer.addresses import Addresses
from tidings.mailer.events import Event
from tidings.settings import SiteSettings


def uid(community: Community, meeting: Meeting, sitting: Sitting, domain: str) -> str:
    """What calendars know a session by, wherever it is moved to; `domain` is the site's."""
    return f"meeting.{community.name}.{meeting.series.id}.{meeting.day:%Y%m%d}.{sitting.session.id}@{domain}"


def page(base_url: str, community: str, meeting: Meeting) -> str:
    """Where the agenda and the minutes of a meeting are read."""
    name = quote(meeting.series.name, safe="")
    return f"{base_url.rstrip('/')}/c/{community}/meetings/{name}/{meeting.day.isoformat()}/"


def event(
    community: Community, agenda: Agenda, sitting: Sitting, *, site: SiteSettings, language: str | None = None
) -> Event:
    """A session of the meeting that the agenda is of; in the community's language where none is given."""
    meeting = agenda.meeting
    words = Words(
        language=languages.read_by(language, community.language),
        zone=meeting.series.zone,
        year=sitting.starts_at.year,
    )
    return Event(
        uid=uid(community, meeting, sitting, site.domain),
        sequence=sitting.sequence,
        stamp=sitting.changed_at,
        start=sitting.starts_at,
        end=sitting.ends_at,
        zone=meeting.series.zone,
        title=in_text(_title(words, meeting, sitting)),
        description=in_text(_description(words, agenda, Addresses(site).of(community).detail("agenda"))),
        place=sitting.place,
        url=page(site.base_url, community.name, meeting),
        cancelled=meeting.cancelled_at is not None,
    )


def own(told: Event, answer: str, *, language: str, now: datetime) -> Event:
    """An event in the calendar of somebody who said `answer` to it, `yes`, `no` or `maybe`; empty: nothing.

    Until they said yes or no it is tentative. What they have to say yet, the title tells them while there is time.
    """
    words = Words(language=languages.read_by(language, ""), zone=told.zone, year=told.start.year)
    tentative = answer not in ("yes", "no", "delegated")
    title = told.title
    if answer == "maybe":
        title = words.say("%(title)s (maybe)", title=title)
    elif answer in ("no", "delegated"):
        title = words.say("%(title)s (you are not coming)", title=title)
    elif tentative and told.end > now and not told.cancelled:
        title = words.say("%(title)s (do you come?)", title=title)
    return replace(told, title=title, tentative=tentative)


def _title(words: Words, meeting: Meeting, sitting: Sitting) -> str:
    title, sessions = apart(clean(meeting.series.title)), len(meeting.series.sessions)
    if sessions == 1:
        return title
    number = sitting.session.position + 1
    return words.say("%(title)s, session %(number)s of %(all)s", title=title, number=number, all=sessions)


def _description(words: Words, agenda: Agenda, address: str) -> str:
    if agenda.meeting.cancelled_at is not None:
        return words.say("This meeting is cancelled. What was on its agenda goes on the next one.")
    lines: list[str] = []
    for place, block in enumerate(agenda.meeting.series.blocks):
        lines.append(wording.block(words, block))
        lines += [f"- {wording.topic(words, item)}" for item in agenda.items if item.block == place]
    if agenda.duties:
        lines += ["", *(wording.role(words, duty.role, apart(clean(duty.name))) for duty in agenda.duties)]
    answer = words.say(
        "To answer, reply to the mail with the agenda, or write to %(address)s: a topic, or what you think of one.",
        address=address,
    )
    return "\n".join([*lines, "", answer])
