"""What people do with mail that waits: list it, accept, reject, retry or discard it, so that `why` can tell.

A decision is one person's: who comes second is told who decided what. It takes nothing in itself: what is accepted goes
through the pipeline again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from tidings.communities import directory, senders
from tidings.communities.policy import LEADING
from tidings.database.engine import Database
from tidings.errors import NotFoundError
from tidings.intake import decisions, waiting
from tidings.intake.case import Parts
from tidings.intake.decisions import Decision
from tidings.mailer.spool import Entry, Spool, State

SOMEBODY = "a person"
_AT_ONCE = 100  # decisions of one transaction
_DONE = {"accept": "Released", "reject": "Rejected", "discard": "Discarded"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What somebody decides about held mail; `rule` is what they say of its sender for ever."""

    verdict: Literal["accept", "reject", "discard"]
    by: str = SOMEBODY
    reason: str = ""  # of a rejection: its sender reads it
    rule: senders.Rule | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A message that was decided, and what was decided, in a sentence."""

    entry: Entry
    said: str


class Desk:
    """What a person does with mail that waits."""

    def __init__(self, *, database: Database, spool: Spool, parts: Parts) -> None:
        self._database = database
        self._spool = spool
        self._parts = parts

    def counts(self) -> dict[str, int]:
        """How many messages are in each state."""
        return self._spool.counts()

    def listing(self, state: str) -> list[Entry]:
        """The messages in a state, oldest first."""
        return self._spool.listing(state)

    def retry(self, key: str) -> None:
        """Take a shunted message in again. Raises NotFoundError."""
        self._spool.retry(key)

    def release(self, key: str) -> None:
        """Accept a held message. Raises NotFoundError."""
        self.decide([key], Choice(verdict="accept"))

    def discard(self, key: str) -> None:
        """Throw a held or shunted message away. Raises NotFoundError."""
        self.decide([key], Choice(verdict="discard"))

    def decide(self, keys: Sequence[str], choice: Choice) -> list[Settled]:
        """Decide about held messages. Raises NotFoundError where one is none any more; it says what became of it.

        Of a few messages all are decided or none; of many, as many as came before that one.
        """
        done: list[Settled] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            taken = self._take(some, choice)
            with self._database.write() as connection:
                done += [self._settle(connection, entry, choice) for entry in taken]
            self.follow(some, choice)
        return done

    def settle(self, connection: Connection, key: str, choice: Choice) -> Settled:
        """Decide about one message in the caller's transaction; once that is committed, it is to be followed.

        Raises NotFoundError as `decide` does.
        """
        (entry,) = self._take([key], choice)
        return self._settle(connection, entry, choice)

    def follow(self, keys: Sequence[str], choice: Choice) -> None:
        """Let the spool follow what was written down and committed."""
        if choice.verdict == "accept":
            self._spool.release(keys, choice.by)
        else:
            self._spool.drop(keys)

    def _take(self, keys: Sequence[str], choice: Choice) -> list[Entry]:
        """The messages, claimed for who decides."""
        states: tuple[State, ...] = ("held", "shunted") if choice.verdict == "discard" else ("held",)
        taken = self._spool.claim(keys, choice.by, self._parts.clock.now(), states)
        if len(taken) < len(keys):
            missed = next(key for key in keys if key not in {entry.key for entry in taken})
            raise NotFoundError(self._what_became(missed))
        return taken

    def _settle(self, connection: Connection, entry: Entry, choice: Choice) -> Settled:
        now = self._parts.clock.now()
        community = directory.community(connection, entry.community) if entry.community else None
        said = f"{_DONE[choice.verdict]} by {choice.by}"
        said += f": {choice.reason.rstrip('.')}." if choice.reason else "."
        if community is not None:
            if choice.rule and entry.author:
                said += f" {self._rule(connection, community, entry.author, choice.rule)}"
            self._tell_sender(connection, community, entry, choice)
        was = f" It was {entry.state}: {entry.reason or 'we failed on it'}"
        decided = Decision(
            # What is released is held until it is taken in, so that the pipeline decides about it anew.
            verdict="hold" if choice.verdict == "accept" else choice.verdict,
            reason=said + was,
            community_id=community.id if community else None,
            message_id=entry.message_id,
        )
        decisions.forget(connection, entry.key)
        decisions.add(connection, [decisions.row(entry, decided, now)])
        return Settled(entry=entry, said=said)

    def _rule(self, connection: Connection, community: directory.Community, author: str, rule: senders.Rule) -> str:
        """Note the rule for an address, and say so."""
        if rule == "ban" and directory.sender(connection, community.id, author).role in LEADING:
            return f"{author} leads the community and is not banned: anybody may have written in that name."
        senders.set_rule(connection, community.id, author, rule, self._parts.clock.now())
        return f"{author} is {'banned' if rule == 'ban' else 'allowed'} from now on."

    def _tell_sender(
        self, connection: Connection, community: directory.Community, entry: Entry, choice: Choice
    ) -> None:
        if choice.verdict == "accept":
            waiting.tell_accepted(connection, self._parts, community, entry)
        if choice.verdict == "reject":
            raw = self._spool.raw(entry.key)
            waiting.tell_rejected(connection, self._parts, community, entry, raw, choice.reason)

    def _what_became(self, key: str) -> str:
        """Why nobody has to decide about a message any more, or who does."""
        with self._database.read() as connection:
            decided = decisions.before(connection, [key]).get(key)
        if decided and decided.verdict != "hold":
            return f"It was decided already: {decided.reason}"
        if claimant := self._spool.claimant(key, self._parts.clock.now()):
            return f"{claimant} is deciding about it."
        return decided.reason if decided else f"No message that waits for a person has the key {key!r}."
