"""Does what members say of themselves and a meeting: that they come, second, lead, offer, swap, withdraw, have done.

Each is said back in a sentence or two. What only leaders do is for leader_deeds.
"""

from typing import Protocol

from sqlalchemy import Connection

from tidings.archive import cards
from tidings.communities import directory
from tidings.communities.directory import Community, Member
from tidings.digests.meetings import attendance, roles, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.named import Names
from tidings.digests.meetings.roles import Role
from tidings.digests.meetings.topics import Topic
from tidings.intake import letters
from tidings.intake.case import Parts
from tidings.intake.deeds import GONE, WANTS_A_NUMBER, About, Deed
from tidings.intake.meeting_people import called, duties, leads, member_zone, name_of, sitting_of

_COMING: dict[str, tuple[attendance.Answer, str]] = {
    "yes": ("yes", "you come"),
    "no": ("no", "you do not come"),
    "maybe": ("maybe", "you may come"),
}
_ROLES: dict[Role, str] = {"lead": "lead", "host": "host", "scribe": "write the minutes of"}


class _Say(Protocol):
    def __call__(self, member: Member, /) -> str: ...


class MemberDeeds:
    """Does them at one site."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def do(self, connection: Connection, community: Community, owner: Member, found: About, deed: Deed) -> str:
        """Do it; returns what is told of it, also what could not be done and why."""
        match deed.verb:
            case "yes" | "no" | "maybe":
                return self._come(connection, owner, found.meeting, deed)
            case "second":
                return self._second(connection, owner, found)
            case "lead" | "host" | "scribe":
                if found.topic is not None and deed.verb == "lead":
                    return self._lead_topic(connection, owner, found.topic)
                return self._offer(connection, owner, found.meeting, deed.verb)
            case "swap":
                return self._swap(connection, community, owner, found, deed.argument)
            case "withdraw":
                return self._withdraw(connection, owner, found, deed.argument)
            case _:
                return self._finish(connection, owner, found)

    def _when(self, connection: Connection, member: Member, meeting: Meeting) -> str:
        """A meeting and when it is, in the member's zone."""
        sitting = sitting_of(connection, member, meeting)
        zone_name = member_zone(self._parts, connection, member)
        return f"{meeting.series.title}, {letters.moment(sitting.starts_at, zone_name)}"

    def _come(self, connection: Connection, owner: Member, meeting: Meeting, deed: Deed) -> str:
        sitting, now = sitting_of(connection, owner, meeting), self._parts.clock.now()
        when = self._when(connection, owner, meeting)
        if meeting.cancelled_at is not None:
            return f"{when}: it is cancelled."
        if sitting.ends_at <= now:
            return f"{when}: it is over."
        answer, words = _COMING[deed.verb]
        attendance.say(
            connection,
            meeting_id=meeting.id,
            answer=answer,
            email=owner.email,
            member=owner,
            sitting_id=sitting.id,
            sequence=sitting.sequence,
            now=now,
        )
        has = [_ROLES[one.role] for one in duties(connection, owner, meeting)]
        also = f" You still {' and '.join(has)} it. To give that to somebody else, write: swap" if has else ""
        return f"{when}: we noted that {words}.{also if answer == 'no' else ''}"

    def _second(self, connection: Connection, owner: Member, found: About) -> str:
        topic = found.topic
        if topic is None:
            return WANTS_A_NUMBER["second"]
        if topic.state not in topics.ON_THE_AGENDA:
            return GONE
        if topic.person_id == owner.person_id:
            return f"It is your own topic, so it needs no second of yours: {topic.title}"
        new = topics.second(connection, topic.id, owner.person_id, self._parts.clock.now())
        return f"You second this topic{'' if new else ' already'}: {topic.title}"

    @staticmethod
    def _lead_topic(connection: Connection, owner: Member, topic: Topic) -> str:
        if topic.state not in topics.ON_THE_AGENDA:
            return GONE
        if topic.lead_id not in (None, owner.person_id):
            return f"Somebody else leads this topic already: {topic.title}"
        topics.lead(connection, topic.id, owner.person_id)
        return f"You lead this topic: {topic.title}"

    def _offer(self, connection: Connection, owner: Member, meeting: Meeting, verb: str) -> str:
        role: Role = next(one for one in roles.ROLES if one == verb)
        now, what = self._parts.clock.now(), _ROLES[role]
        roles.offer(connection, meeting.series.id, owner.person_id, role, now)
        title = meeting.series.title
        if meeting.cancelled_at is not None or meeting.ends_at <= now:
            return f"We noted that you would {what} {title}. You hear when it is your turn."
        has = {one.role: one for one in roles.of_meeting(connection, meeting)}
        if (
            role not in has
            and meeting.invited_at is None
            and owner.person_id in {one.person_id for one in has.values()}
        ):
            # Others may offer it before roles are given in turn, and nobody should have two.
            return f"We noted that you would {what} {title}. You hear when it is your turn."
        if role not in has:
            roles.give(connection, meeting, role, owner, now)
        elif has[role].person_id != owner.person_id:
            return (
                f"We noted that you would {what} {title}. {name_of(has[role])} does this time; you hear when it is you."
            )
        return f"You {what} {self._when(connection, owner, meeting)}."

    def _swap(self, connection: Connection, community: Community, owner: Member, found: About, whom: str) -> str:
        """Give a role of the member's to whom they named, or to whose turn it is next."""
        to = Names(connection, community.id).find(whom) if whom else None
        if whom and to is None:
            return f"Nothing was changed: we do not know which member you mean by {whom}. Their address tells us."
        if found.topic is not None and found.topic.lead_id == owner.person_id:
            return self._swap_topic(connection, community, owner, found.topic, to)
        mine = [found.duty] if found.duty else duties(connection, owner, found.meeting)
        if len(mine) > 1:
            return (
                "Nothing was changed: you have several roles there. Write it to the address of the one that you mean."
            )
        if not mine or mine[0].person_id != owner.person_id:
            return "Nothing was changed: you have no role there that somebody else could take."
        if found.meeting.cancelled_at is not None or found.meeting.ends_at <= self._parts.clock.now():
            return f"{self._when(connection, owner, found.meeting)}: nobody is needed any more."
        duty = roles.swap(connection, found.meeting, mine[0], self._parts.clock.now(), to)
        if duty is None:
            return "Nobody else is willing yet, so it stays with you. To name somebody, write: swap with @ana"
        # Who has it now is reminded of it at the start of their next shift (meetings.reminders).
        when_it_is = self._when(connection, owner, found.meeting)
        return f"{name_of(duty)} will {_ROLES[duty.role]} {when_it_is}, and hears of it."

    def _swap_topic(
        self, connection: Connection, community: Community, owner: Member, topic: Topic, to: Member | None
    ) -> str:
        topics.lead(connection, topic.id, to.person_id if to else None)
        if to is None:
            return f"You do not lead this topic any more: {topic.title}"
        self._tell_other(
            connection,
            community,
            to.person_id,
            lambda _member: f"{called(owner)} asks you to lead a topic in their place: {topic.title}",
            key=f"swap-topic-{topic.id}-{self._parts.clock.now().isoformat()}",
        )
        return f"{called(to)} leads this topic, and was told: {topic.title}"

    def _tell_other(self, connection: Connection, community: Community, person_id: int, say: _Say, *, key: str) -> None:
        members = directory.members(connection, community.id)
        member = next((one for one in members if one.person_id == person_id), None)
        if member is None:
            return
        address = self._parts.addresses.of(community)
        pass_on = f"If you cannot, write to {address.detail('agenda')}: swap"
        letter = letters.meeting_told(community, address, [say(member), pass_on])
        self._parts.notices.send(
            connection,
            key=key,
            recipient=member.email,
            subject=letter.subject,
            text=letter.text,
            now=self._parts.clock.now(),
            community_id=community.id,
            sender=address.detail("command"),
            name=community.title,
            unproved=True,
        )

    def _withdraw(self, connection: Connection, owner: Member, found: About, what: str) -> str:
        """Take back a topic, a second or an offer of the member's own, whichever there is."""
        topic, mine = found.topic, owner.person_id
        if topic is not None:
            if topic.person_id == mine and what in ("", "topic"):
                topics.settle(connection, topic.id, "withdrawn")
                return f"Your topic is off the agenda: {topic.title}"
            if topic.lead_id == mine and what in ("", "offer"):
                topics.lead(connection, topic.id, None)
                return f"You do not lead this topic any more: {topic.title}"
            if what in ("", "second") and topics.unsecond(connection, topic.id, mine):
                return f"You do not second this topic any more: {topic.title}"
            return f"Nothing was changed: you did not propose, second or lead this topic: {topic.title}"
        role: Role | None = found.duty.role if found.duty else None
        had = roles.decline(connection, found.meeting.series.id, mine, role)
        has = duties(connection, owner, found.meeting)
        also = " You still have a role this time; to give it to somebody else, write: swap" if has else ""
        title = found.meeting.series.title
        return (
            f"You {'are not' if had else 'were not'} among those who are willing for {title}{' any more' * had}.{also}"
        )

    def _finish(self, connection: Connection, owner: Member, found: About) -> str:
        card = found.card
        if card is None:
            return WANTS_A_NUMBER["done"]
        if card.owner_id != owner.person_id and not leads(connection, owner, found.meeting):
            return f"Only its owner, or who leads, says that this is done: {card.text}"
        new = cards.finish(connection, card.id, self._parts.clock.now())
        if found.topic is not None and found.topic.state in topics.ON_THE_AGENDA:
            topics.settle(connection, found.topic.id, "dropped")
        return f"This is {'' if new else 'already '}done: {card.text}"
