"""Does what leaders ask for about a meeting: what is on its agenda in which order, when and where it is, and whether.

Who may ask for it is for meeting_words. Each is said back in a sentence.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection

from tidings.clock import zone
from tidings.communities.directory import Member
from tidings.digests.meetings import changes, topics
from tidings.digests.meetings.diary import Meeting
from tidings.intake.case import Parts
from tidings.intake.deeds import GONE, WANTS_A_NUMBER, About, Deed
from tidings.intake.meeting_people import member_zone, sitting_of, when


def do(connection: Connection, parts: Parts, owner: Member, found: About, deed: Deed) -> str:
    """Do it; returns what is told of it. Raises UsageError, which says what cannot be."""
    match deed.verb:
        case "drop" | "time":
            return _topic(connection, found, deed)
        case "order":
            return _order(connection, found.meeting, deed)
        case _:
            return _meeting(connection, parts, owner, found.meeting, deed)


def _topic(connection: Connection, found: About, deed: Deed) -> str:
    topic = found.topic
    if topic is None:
        return WANTS_A_NUMBER[deed.verb]
    if topic.state not in topics.ON_THE_AGENDA:
        return GONE
    if deed.verb == "drop":
        topics.settle(connection, topic.id, "dropped")
        return f"This is off the agenda: {topic.title}"
    topics.give_time(connection, topic.id, int(deed.argument))
    return f"This has {deed.argument} minutes: {topic.title}"


def _order(connection: Connection, meeting: Meeting, deed: Deed) -> str:
    known = {one.id: one.title for one in topics.of_meeting(connection, meeting.id)}
    wanted = [one for one in deed.topic_ids if one in known]
    if not wanted:
        return GONE
    topics.order(connection, wanted)
    return "\n".join(["The agenda begins with these, in this order:", *(f"- {known[one]}" for one in wanted)])


def _meeting(connection: Connection, parts: Parts, owner: Member, meeting: Meeting, deed: Deed) -> str:
    now, site = parts.clock.now(), parts.settings.site
    sitting = sitting_of(connection, owner, meeting)
    match deed.verb:
        case "place":
            changed = changes.move(connection, meeting, sitting, None, now, site=site, place=deed.argument)
            said = f"It is now at: {deed.argument}"
        case "move":
            local = datetime.fromisoformat(deed.argument).replace(tzinfo=zone(member_zone(parts, connection, owner)))
            changed = changes.move(connection, meeting, sitting, local.astimezone(UTC), now, site=site)
            said = "It was moved to that hour."
        case "cancel":
            changed = changes.cancel(connection, meeting, now, site=site)
            said = "It is cancelled; what is on its agenda goes on the next one."
        case _:
            changed = changes.restore(connection, meeting, now, site=site)
            said = "It takes place after all."
    return f"{when(parts, connection, owner, changed)}: {said} Everybody who knew of it is told."
