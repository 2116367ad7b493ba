"""What may be posted: rules over facts, in one visible order, each with its reason.

It changes nothing and reads no database: deciding is apart from changing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["accept", "hold", "reject", "discard"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is to be done with a message, and why, in words that its sender may read."""

    kind: Kind
    reason: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rules look at. `automatic` says how a program gave itself away as the sender; empty: a person wrote."""

    community: str
    posting: str
    archived: bool
    author_email: str
    is_member: bool
    automatic: str = ""
    own_loop: bool = False


Rule = Callable[[Facts], Verdict | None]


def own_loop(facts: Facts) -> Verdict | None:
    """Our own copy came back: it has been posted already."""
    if facts.own_loop:
        return Verdict(kind="discard", reason="Our own copy came back to us (X-Tidings-Loop).")
    return None


def community_archived(facts: Facts) -> Verdict | None:
    """An archived community takes no more posts."""
    if facts.archived:
        return Verdict(kind="reject", reason=f"The community {facts.community} is closed and takes no more mail.")
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
    if facts.posting == "members" and not facts.is_member:
        return Verdict(
            kind="reject",
            reason=f"Only members may write to {facts.community}, and {facts.author_email} is not a member's address.",
        )
    return None


POSTING_RULES: Sequence[Rule] = (own_loop, community_archived, written_by_a_program, without_an_author, not_a_member)
# What can be told from the header scan while the sender is still there to be refused.
DOOR_RULES: Sequence[Rule] = (community_archived, not_a_member)


def decide(facts: Facts, rules: Sequence[Rule] = POSTING_RULES) -> Verdict:
    """The first rule that objects decides; where none does, the message is accepted."""
    for rule in rules:
        verdict = rule(facts)
        if verdict:
            return verdict
    return Verdict(kind="accept", reason="From a member." if facts.is_member else "The community is open to all.")
