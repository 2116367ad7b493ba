"""What the commands of a member do, each with its answer: reads of the archive, and changes of what is their own.

Whether it was the member who asked for a change is settled before; what only reads is answered to whoever asks in the
member's name, so such an answer repeats nothing of the mail.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time

from sqlalchemy import Connection, bindparam

from tidings.archive import read, search
from tidings.archive.read import Post
from tidings.clock import zone
from tidings.communities import digest_times, directory, joining, languages, rota
from tidings.communities.directory import Community, Member, email_key
from tidings.communities.roster import Roster
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import plans, schedule
from tidings.errors import NotFoundError, UsageError
from tidings.intake import letters
from tidings.intake.asking import Asking
from tidings.intake.case import Parts
from tidings.mailer.addresses import post_page
from tidings.mailer.commands import Command

_HITS = 10
_POST_LENGTH = 20_000  # characters of a post that are sent
_BY_NUMBER = read.POSTS.where(
    tables.post.c.community_id == bindparam("community"), tables.post.c.number == bindparam("number")
)
_DONE: Mapping[str, str] = {
    "delivery": "From now on you get {what} from {title}.",
    "crew": "Your crew is now: {what}.",
    "zone": "Your time zone is now: {what}.",
    "language": "Your digests are now in {what}.",
    "digest": "Your digest now comes {what}.",
    "name": "Your name is now: {what}.",
    "format": "From now on your digests come as {what}.",
    "quiet": "From now on you get from {title}: {what}.",
    "one-mail": "The digests of your communities that are due together are {what} put into one mail.",
    "own-posts": "Your own posts to {title} are {what} sent to you too.",
    "also-named": "Posts to {title} that have you in To or Cc are {what} sent to you by the community too.",
}


class MemberCommands:
    """Does what members ask for by mail."""

    def __init__(self, parts: Parts, asking: Asking) -> None:
        self._parts = parts
        self._asking = asking

    def today(self, connection: Connection, member: Member | None) -> date:
        """The day where the member is; for nobody in particular, where the site is."""
        return self._parts.clock.now().astimezone(zone(self._zone(connection, member))).date()

    def do(self, connection: Connection, community: Community, member: Member, command: Command) -> str:
        """Do it; returns the answer, which also says what could not be done and why."""
        try:
            return self._do(connection, community, member, command)
        except (UsageError, NotFoundError) as error:
            return f"Nothing was changed: {error}"

    def _do(self, connection: Connection, community: Community, member: Member, command: Command) -> str:
        match command.verb:
            case "help":
                return letters.help_for_members(community, self._parts.addresses.of(community)).text.rstrip()
            case "which":
                return self._which(connection, member)
            case "search":
                return self._search(connection, community, command.argument)
            case "get":
                return self._get(connection, community, command.argument)
            case "pause" | "resume":
                return self.pause(connection, community, member, command)
            case "address" | "also" | "forget":
                return self._address(connection, community, member, command)
            case "leave":
                joining.remove_member(connection, membership_id=member.membership_id, now=self._parts.clock.now())
                return letters.left(community, self._parts.addresses.of(community)).text.rstrip()
            case "subscribe":
                return f"You are a member of {community.title} already."
            case _:
                return self._set(connection, community, member, command)

    # --- what is read ------------------------------------------------------------------------------------------------

    def _which(self, connection: Connection, member: Member) -> str:
        lines = ["You are in:"]
        for community in directory.communities_of(connection, member.email):
            found = directory.member_by_address(connection, community.id, member.email)
            if found is not None:
                lines += ["", f"{community.title} ({self._parts.addresses.of(community).post})"]
                lines.append(f"    {self._state(connection, found)}, to {found.email}")
                lines += [f"    {one}" for one in self._times(connection, community, found)]
        return "\n".join(lines)

    def _state(self, connection: Connection, member: Member) -> str:
        if member.paused_until is not None and member.is_paused(self._parts.clock.now()):
            return f"paused {self._until(connection, member, member.paused_until)}"
        return letters.DELIVERY[member.delivery]

    def _times(self, connection: Connection, community: Community, member: Member) -> Iterator[str]:
        """When the mail of the community comes, where that is not at once."""
        if member.delivery in ("weekly", "daily"):
            now, site = self._parts.clock.now(), self._parts.settings.site
            told = plans.outlook(connection, community, member, now, site=site)
            yield told.timing
            yield f"It is in {languages.NAMES[told.told_in]}."
            if member.format != "html":
                yield f"Digests come as {letters.FORMAT[member.format]}."
        if member.delivery == "each" and member.quiet != "none":
            yield f"{letters.QUIET[member.quiet]}"

    def _search(self, connection: Connection, community: Community, words: str) -> str:
        hits = search.search(connection, [community.id], words, limit=_HITS)
        if not hits:
            return f"Nothing was found in the archive of {community.title}."
        found = [f"{self._heading(community, hit.post)}\n{hit.snippet}" for hit in hits]
        count = f"The {_HITS} newest posts" if len(hits) == _HITS else f"{len(hits)} post{'s' * (len(hits) > 1)}"
        return "\n\n".join([f"{count} found. `get NUMBER` sends you a post.", *found])

    def _get(self, connection: Connection, community: Community, numbers: str) -> str:
        wanted = [int(number) for number in numbers.split(", ")]
        found = {number: _post(connection, community.id, number) for number in wanted}
        return "\n\n".join(
            f"{community.title} has no post {number}." if post is None else self._whole(community, post)
            for number, post in found.items()
        )

    def _whole(self, community: Community, post: Post) -> str:
        text = post.text[:_POST_LENGTH].strip() or "(no text)"
        more = ["(The rest stands in the archive.)"] if len(post.text) > _POST_LENGTH else []
        return "\n\n".join([self._heading(community, post), text, *more])

    def _heading(self, community: Community, post: Post) -> str:
        written = letters.day(post.date.astimezone(zone(community.zone)).date())
        page = post_page(self._parts.settings.site.base_url, community.name, post.message_id)
        return f"#{post.number}  {post.subject}\n{post.author_name}, {written}\n{page}"

    # --- what is changed ---------------------------------------------------------------------------------------------

    def pause(self, connection: Connection, community: Community, member: Member, command: Command) -> str:
        """Pause or resume the member's mail; returns the answer."""
        if command.verb == "resume":
            joining.resume(connection, membership_id=member.membership_id)
            return f"The pause is over: you get mail from {community.title} again."
        until = self._start_of(connection, member, command.argument) if command.argument else joining.UNTIL_RESUMED
        joining.pause(connection, membership_id=member.membership_id, until=until)
        when = self._until(connection, member, until)
        return f"You get no mail from {community.title} {when}. To have it again before, write `resume`."

    def _start_of(self, connection: Connection, member: Member, day: str) -> datetime:
        return datetime.combine(date.fromisoformat(day), time(), zone(self._zone(connection, member)))

    def _until(self, connection: Connection, member: Member, moment: datetime) -> str:
        if moment >= joining.UNTIL_RESUMED:
            return "until you write `resume`"
        return f"until {letters.day(moment.astimezone(zone(self._zone(connection, member))).date())}"

    def _zone(self, connection: Connection, member: Member | None) -> str:
        site_zone = self._parts.settings.site.zone
        if member is None:
            return site_zone
        return schedule.zone_of(member, self._roster(connection, member), site_zone)

    @staticmethod
    def _roster(connection: Connection, member: Member) -> Roster | None:
        return Rosters(connection).of(member.person_id, member.crew_id)

    def _set(self, connection: Connection, community: Community, member: Member, command: Command) -> str:
        wanted = command.argument
        if command.verb == "crew" and wanted.lower() != "none":
            known = [crew.name for crew in rota.crews(connection)]
            found = [name for name in known if name.lower() == wanted.lower()]
            if not found:
                return f"Nothing was changed: there is no such crew. There is: {', '.join(known) or 'none yet'}."
            wanted = wanted if wanted in found else found[0]
        now = self._parts.clock.now()
        joining.set_member(
            connection,
            community=community.name,
            email=member.email,
            changes={command.verb: wanted},
            now=now,
        )
        plans.replan(connection, now, site=self._parts.settings.site, person_id=member.person_id)
        return _DONE[command.verb].format(what=_in_words(command.verb, wanted), title=community.title)

    def _address(self, connection: Connection, community: Community, member: Member, command: Command) -> str:
        email = self._asking.answerable(command.argument)
        if email is None:
            return f"Nothing was changed: {command.argument} is the address of a community."
        if command.verb == "forget":
            now = self._parts.clock.now()
            joining.forget_address(connection, person_id=member.person_id, email=email, now=now)
            return f"{email} is no longer an address of yours. What comes from there is not taken for yours."
        if email_key(email) in map(email_key, joining.addresses(connection, member.person_id)):
            titles = self.use_address(connection, member, command.verb, email)
            moved = f"The mail of {', '.join(titles)} now goes to {email}."
            return moved if titles else f"{email} is known as an address of yours already."
        asked = self._asking.ask_stranger(
            connection,
            community,
            letters.address_question(community, command.verb),
            purpose="address",
            email=email,
            request={"membership_id": member.membership_id, "verb": command.verb},
        )
        if not asked:
            return f"Nothing was changed: {email} was sent enough mail from here today. Please ask again tomorrow."
        return f"We sent a mail to {email}. Reply to that one, and it is done."

    def use_address(self, connection: Connection, member: Member, verb: str, email: str) -> list[str]:
        """Make the address one of the member's, and for `address` send their mail there.

        Returns the titles of the communities whose mail now goes there, none for `also`. Raises UsageError where it is
        another member's.
        """
        joining.add_address(connection, person_id=member.person_id, email=email)
        if verb == "also":
            return []
        return joining.move_mail(connection, membership_id=member.membership_id, email=email)


def _post(connection: Connection, community_id: int, number: int) -> Post | None:
    row = connection.execute(_BY_NUMBER, {"community": community_id, "number": number}).first()
    return None if row is None else read.as_post(row)


def _in_words(verb: str, wanted: str) -> str:
    if verb == "delivery":
        return letters.DELIVERY[wanted]
    if verb == "digest":
        return digest_times.parse(wanted).words
    if verb == "language":
        return languages.NAMES.get(wanted, "the language of each community")
    if verb == "format":
        return letters.FORMAT[wanted]
    if verb == "quiet":
        return letters.QUIET[wanted]
    if verb in joining.YES_OR_NO:
        return "now" if wanted == "yes" else "not"
    return "none" if wanted.lower() == "none" and verb != "name" else wanted
