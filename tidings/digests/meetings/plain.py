"""The next meeting of a community, and what a reader's rota says to it; pure.

How it is printed and answered is not decided here.
"""

from datetime import UTC, datetime

from tidings.archive.sentences import clean
from tidings.clock import zone
from tidings.communities import languages
from tidings.communities.directory import Community
from tidings.communities.roster import Roster
from tidings.digests import schedule
from tidings.digests.direction import apart, in_text
from tidings.digests.fragments import Duty, Meeting
from tidings.digests.words import Words


def next_meeting(community: Community, roster: Roster | None, now: datetime) -> Meeting | None:
    """The first meeting after `now` and what the reader's roster says to it; None where the community has none."""
    if community.meeting_weekday is None or community.meeting_time is None:
        return None
    start = schedule.next_at(community.meeting_weekday, community.meeting_time, community.zone, now)
    place = clean(community.meeting_place or "")
    if roster is None:
        return Meeting(start=start, place=place, duty="")
    shift, night = roster.at(start), schedule.slept_off(roster, start)
    of = shift or night
    if of is None:
        return Meeting(start=start, place=place, duty="off")
    duty: Duty = "sleep" if shift is None else "night" if schedule.is_night(of) else "shift"
    return Meeting(
        start=start,
        place=place,
        duty=duty,
        duty_start=of.start.astimezone(UTC),
        duty_end=of.end.astimezone(UTC),
    )


def concerns(meeting: Meeting) -> bool:
    """Whether the reader can be there, as far as their rota says: they are neither off shift then nor asleep."""
    return meeting.duty not in ("off", "sleep")


def subject(community: Community, start: datetime) -> str:
    """The subject of all answers to one meeting: in the community's zone and language, the same for everybody."""
    language, wall = languages.read_by(None, community.language), start.astimezone(zone(community.zone))
    words = Words(language=language, zone=community.zone, year=wall.year)
    told = words.say("%(community)s meeting, %(time)s", community=apart(clean(community.title)), time=words.full(start))
    return in_text(told)


def message_id(community: Community, start: datetime, domain: str) -> str:
    """The bare Message-ID that all answers to one meeting reply to, so that they make one thread."""
    wall = start.astimezone(zone(community.zone))
    return f"meeting.{community.name}.{wall:%Y%m%dT%H%M}@{domain}"
