"""What may be posted: rules over facts, in one visible order, each with its reason.

It changes nothing and reads no database: deciding is apart from changing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tidings.communities.directory import Community, Sender
from tidings.communities.entries import show_size

POSTING = ("members", "open", "screened", "moderated", "announce")
"""Who may post: only members (others are refused) · all · all, but what others write is held · all, but what ordinary
members write is held too · only those who lead (others are refused)."""

LEADING = frozenset({"leader", "moderator", "owner"})
"""The roles whose posts are never held for who wrote them."""

MODERATING = frozenset({"moderator", "owner"})
"""The roles that decide what becomes of held posts."""

Kind = Literal["accept", "hold", "reject", "discard"]
_AUTHOR_SHOWN = 100  # characters: a reply line has 512 octets (RFC 5321 4.5.3.1.5)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be done with a message, and why, in words that its sender may read.

    Of a rejection, `advice` says what the sender can do instead, `status` is its enhanced code (RFC 3463), and `late`
    what is done where it was taken before it could be refused.
    """

    kind: Kind
    reason: str
    advice: str = ""
    status: str = ""
    late: Literal["hold", "discard"] = "hold"

    @property
    def said(self) -> str:
        """Reason and advice, for who is refused."""
        return f"{self.reason} {self.advice}".strip()


def _no_storm() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rules look at. Sizes are bytes; of what cannot be known yet, the default stands.

    `automatic` says how a program gave itself away as the sender (empty: a person wrote), `unsigned` why no signature
    vouches for the author (empty: one does). `storm` is only called when a rule needs it, for it asks the database: it
    says how hot the thread ran that the message answers (empty: it did not).
    """

    community: Community
    sender: Sender
    author_email: str
    join_address: str
    owner_address: str
    size: int
    attachments: int = 0
    automatic: str = ""
    own_loop: bool = False
    unsigned: str = ""
    storm: Callable[[], str] = _no_storm

    @property
    def leads(self) -> bool:
        """Whether it comes from who leads the community, or from whom a moderator allowed once and for all."""
        return self.sender.role in LEADING or self.sender.rule == "allow"

    @property
    def author_shown(self) -> str:
        """The author's address, not longer than a sentence can hold."""
        return self.author_email[:_AUTHOR_SHOWN]


Rule = Callable[[Facts], Verdict | None]


def own_loop(facts: Facts) -> Verdict | None:
    """Our own copy came back: it has been posted already."""
    if facts.own_loop:
        return Verdict(kind="discard", reason="Our own copy came back to us (X-Tidings-Loop).")
    return None


def community_archived(facts: Facts) -> Verdict | None:
    """An archived community takes no more posts."""
    if facts.community.archived:
        reason = f"The community {facts.community.name} is closed and takes no more mail."
        return Verdict(kind="reject", status="5.2.1", reason=reason)
    return None


def banned_sender(facts: Facts) -> Verdict | None:
    """Whom a moderator banned is refused, and bothers no moderator again."""
    if facts.sender.rule == "ban":
        return Verdict(
            kind="reject",
            status="5.7.1",
            reason=f"{facts.author_shown} may not write to {facts.community.name}.",
            advice=f"To ask why, write to {facts.owner_address}.",
            late="discard",
        )
    return None


def too_large(facts: Facts) -> Verdict | None:
    """A community may take less than the site does."""
    most = facts.community.max_size
    if most is not None and facts.size > most:
        reason = f"It has {show_size(facts.size)}, and {facts.community.name} takes mail of up to {show_size(most)}."
        return Verdict(kind="reject", status="5.3.4", reason=reason, advice="Leave files out, or send a link to them.")
    return None


def written_by_a_program(facts: Facts) -> Verdict | None:
    """Automatic mail is never posted unseen (RFC 3834)."""
    if facts.automatic:
        return Verdict(kind="hold", reason=f"An automatic mail ({facts.automatic}).")
    return None


def without_an_author(facts: Facts) -> Verdict | None:
    """A post needs an author whom a reply can reach."""
    if "@" not in facts.author_email:
        return Verdict(kind="hold", reason="It has no From address that can be read.")
    return None


def not_a_member(facts: Facts) -> Verdict | None:
    """Where only members post, From must be a member's address."""
    name = facts.community.name
    if facts.community.posting == "members" and not facts.sender.role and not facts.leads:
        return Verdict(
            kind="reject",
            status="5.7.2",
            reason=f"Only members may write to {name}, and {facts.author_shown} is not a member's address.",
            advice=f"To join, write to {facts.join_address}; to reach a person, to {facts.owner_address}.",
        )
    return None


def not_a_leader(facts: Facts) -> Verdict | None:
    """In a community for announcements only those who lead it post."""
    if facts.community.posting == "announce" and not facts.leads:
        return Verdict(
            kind="reject",
            status="5.7.2",
            reason=f"Only the leaders write to {facts.community.name}.",
            advice=f"To reach them, write to {facts.owner_address}.",
        )
    return None


def stranger_screened(facts: Facts) -> Verdict | None:
    """In a screened community a moderator looks first at what others than members write."""
    if facts.community.posting == "screened" and not facts.sender.role and not facts.leads:
        reason = f"{facts.author_shown} is not a member of {facts.community.name}, so a moderator looks at it first."
        return Verdict(kind="hold", reason=reason)
    return None


def everything_moderated(facts: Facts) -> Verdict | None:
    """In a moderated community a moderator looks first at what anybody writes who does not lead it."""
    if facts.community.posting == "moderated" and not facts.leads:
        return Verdict(kind="hold", reason=f"A moderator looks at each post to {facts.community.name} first.")
    return None


def newcomer(facts: Facts) -> Verdict | None:
    """A moderator looks at the first posts of a new member."""
    if facts.sender.held_posts > 0 and not facts.leads:
        return Verdict(kind="hold", reason="A moderator looks at the first posts of a new member.")
    return None


def too_much_attached(facts: Facts) -> Verdict | None:
    """A community may take few files with a post, or none."""
    most = facts.community.max_attachments
    if most is None or facts.attachments <= most:
        return None
    takes = f"files of up to {show_size(most)}" if most else "no files"
    reason = f"Files of {show_size(facts.attachments)} came with it, and {facts.community.name} takes {takes}."
    return Verdict(kind="hold", reason=reason)


def not_signed(facts: Facts) -> Verdict | None:
    """A community may want each post vouched for by its author's mail domain (DKIM, RFC 6376)."""
    if facts.community.signed_only and facts.unsigned:
        reason = f"Nothing proves that {facts.author_shown} sent it ({facts.unsigned[:200]})."
        return Verdict(kind="hold", reason=reason)
    return None


def storm(facts: Facts) -> Verdict | None:
    """A thread in which everybody answers everybody rests until a moderator has looked; who leads may calm it."""
    if not facts.leads and (how := facts.storm()):
        return Verdict(kind="hold", reason=f"{how} It rests until a moderator has looked.")
    return None


POSTING_RULES: Sequence[Rule] = (
    own_loop,
    community_archived,
    banned_sender,
    too_large,
    written_by_a_program,
    without_an_author,
    not_a_member,
    not_a_leader,
    stranger_screened,
    everything_moderated,
    newcomer,
    too_much_attached,
    not_signed,
    storm,
)
# What can be told from the header scan and the size while the sender is still there to be refused.
DOOR_RULES: Sequence[Rule] = (community_archived, banned_sender, too_large, not_a_member, not_a_leader)
# Calendar programs of guests, and of members who do not post, answer there: what they sent is seen by its body alone.
AGENDA_DOOR_RULES: Sequence[Rule] = (community_archived, banned_sender, too_large)
# What still stands against a message that a person has seen and accepted.
RELEASED_RULES: Sequence[Rule] = (own_loop, community_archived)


def decide(facts: Facts, rules: Sequence[Rule] = POSTING_RULES) -> Verdict:
    """The first rule that objects decides; where none does, the message is accepted."""
    for rule in rules:
        verdict = rule(facts)
        if verdict:
            return verdict
    return Verdict(kind="accept", reason=_why_accepted(facts))


def _why_accepted(facts: Facts) -> str:
    if facts.sender.role:
        return "From a member."
    return "A moderator allowed this address." if facts.sender.rule == "allow" else "The community is open to all."
