"""Which messages a message may be a reply to, best first, read from its header fields.

It knows nothing of what has been seen; `place` takes the first candidate that is there.
"""

import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

Found = Literal["reply-token", "in-reply-to", "references", "loose", "thread-index", "subject"]
Why = Literal["root", "ghost", "person", Found, "loop"]

# RFC 5322 3.6.4, kindly: an id is what stands in angle brackets, and folding white space inside it is no part of it.
_ID = re.compile(r"<([^<>]{1,998})>")
_ONE_ID = re.compile(r"\s*<([^<>]{1,998})>\s*")


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A message that may be the parent, by its bare Message-ID, and why."""

    message_id: str
    why: Why


def message_ids(field: str) -> list[str]:
    """The bare ids in a References or In-Reply-To field, in their order."""
    return [bare for found in _ID.findall(field) if (bare := _bare(found)) and bare.isprintable()]


def one_message_id(field: str) -> str | None:
    """The bare id of a field that holds one id and nothing else (a strict In-Reply-To, a Message-ID), or None."""
    match = _ONE_ID.fullmatch(field)
    return _bare(match[1]) if match else None


def _bare(text: str) -> str:
    return "".join(text.split())


def candidates(
    *,
    message_id: str,
    in_reply_to: str,
    references: str,
    answers: str | None = None,
    never: Callable[[str], bool] = lambda _: False,
    limit: int = 100,
) -> tuple[Candidate, ...]:
    """The possible parents of a message, best first.

    `answers` is the message that a reply token names. `never` tells ids that are no messages of a thread: an edition's
    own id would glue its topics together. The last `limit` References count.
    """
    found: dict[str, Candidate] = {}
    for candidate in _in_order(in_reply_to, references, answers, limit):
        bare = candidate.message_id
        if bare != message_id and bare not in found and not never(bare):
            found[bare] = candidate
    return tuple(found.values())


def referred(in_reply_to: str, references: str, limit: int = 100) -> list[str]:
    """The bare ids that these fields name, as far as `candidates` may look at them."""
    return [*message_ids(references)[-limit:], *message_ids(in_reply_to)[:1]]


def _in_order(in_reply_to: str, references: str, answers: str | None, limit: int) -> Iterator[Candidate]:
    if answers:
        yield Candidate(answers, "reply-token")
    strict = one_message_id(in_reply_to)
    if strict:
        yield Candidate(strict, "in-reply-to")
    for bare in reversed(message_ids(references)[-limit:]):
        yield Candidate(bare, "references")
    if not strict:
        for bare in message_ids(in_reply_to)[:1]:
            yield Candidate(bare, "loose")
