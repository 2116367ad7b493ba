"""Which earlier message one without header fields joins: by Outlook's Thread-Index, or by its subject.

Pure over the neighbours in time that have the same subject or conversation. What is chosen depends on the messages
alone, not on what was chosen for others, so that any order of arrival gives the same.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidings.threading.likeness import Likeness, is_child

WINDOW = 100  # neighbours that are looked at; a subject that so many others had since says nothing
_DAYS = 30  # a reply by subject alone comes soon: what comes later under it is mostly another matter
_LIMIT = _DAYS * 86_400 * 1_000_000


@dataclass(frozen=True, kw_only=True)
class Near:
    """A seen message among its neighbours; `turn` is its place in time, in microseconds."""

    node_id: int
    turn: int
    like: Likeness


def by_subject(near: Sequence[Near], turn: int) -> Mapping[int, int | None]:
    """Whom each of `near` (in order) from `turn` on joins by its subject: the nearest that began it, if they share."""
    begins = [place for place, one in enumerate(near) if not one.like.is_reply]
    return {
        near[place].node_id: next(
            (
                near[at].node_id
                for at in reversed(begins)
                if place - WINDOW <= at < place and near[at].turn < near[place].turn and _shares(near[place], near[at])
            ),
            None,
        )
        for place in range(_first_from(near, turn), len(near))
        if near[place].like.is_reply
    }


def _first_from(near: Sequence[Near], turn: int) -> int:
    """The place of the first that did not come before `turn`."""
    return bisect_left(near, turn, key=lambda one: one.turn)


def _shares(reply: Near, first: Near) -> bool:
    if reply.turn - first.turn > _LIMIT:
        return False
    mine, theirs = reply.like, first.like
    people = theirs.author in mine.people or mine.author in theirs.people or mine.author == theirs.author
    known = mine.author is not None and theirs.author is not None
    return (known and people) or not mine.quoted.isdisjoint(theirs.own)


def by_index(near: Sequence[Near], turn: int) -> Mapping[int, int | None]:
    """Whom each of `near` (in order) from `turn` on joins by its Thread-Index: the nearest that it extends."""
    chosen: dict[int, int | None] = {}
    for place in range(_first_from(near, turn), len(near)):
        one = near[place]
        if is_child(one.like.index):
            before = [other for other in near[max(0, place - WINDOW) : place] if other.turn < one.turn]
            above = [
                other
                for other in before
                if len(other.like.index) < len(one.like.index) and one.like.index.startswith(other.like.index)
            ]
            # Ties go to the later one; the lists are in order of time.
            best = max(reversed(above), key=lambda other: len(other.like.index), default=None)
            chosen[one.node_id] = best.node_id if best else before[-1].node_id if before else None
    return chosen
