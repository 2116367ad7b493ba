"""One session's reading of an IMAP folder: what is new is fetched, kept in the spool, and only then marked as done.

A message and its UID are noted in one transaction, so that whatever happens after it, it is neither lost nor kept
twice. One that fails is tried three times and then left where it is, while others go on.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from tidings.clock import Clock
from tidings.database.engine import Database, is_outage
from tidings.mailer import mailboxes, spool
from tidings.mailer.envelope import Envelope, Postbox
from tidings.mailer.imap_session import DeniedError, Folder, LostError, RefusedError, Session, Timing

log = logging.getLogger(__name__)
_BATCH = 100  # messages whose sizes are asked for at a time
_BATCH_BYTES = 8_000_000  # of messages fetched at a time
_SLACK = 65_536  # bytes: the sizes that servers tell are near, not exact
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(kw_only=True)
class Memory:
    """What is known of single messages from one session to the next, as long as the program runs."""

    singly: set[int] = field(default_factory=set)  # UIDs to be fetched alone: one of them broke a batch
    retry_at: dict[int, float] = field(default_factory=dict)  # when a UID is tried again, by time.monotonic()
    # UIDs that were given up since the program began: another program, or another limit, may do better.
    given_up: set[int] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class _Arrival:
    """A message that was fetched."""

    uid: int
    raw: bytes  # with CR LF line ends
    hash: bytes
    envelope: Envelope


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where the messages of one mailbox go; `name` is what it is called in tables and logs."""

    name: str
    postbox: Postbox
    database: Database
    clock: Clock
    max_size: int  # bytes
    on_commit: Callable[[], None]

    def arrival(self, uid: int, raw: bytes) -> _Arrival:
        """A fetched message with all that is to be known of it; the part that needs no transaction."""
        raw = _with_crlf(raw)
        return _Arrival(uid=uid, raw=raw, hash=hashlib.sha256(raw).digest(), envelope=self.postbox.read(raw))

    def keep(self, folder: Folder, arrivals: Sequence[_Arrival], too_big: dict[int, str], through: int) -> int:
        """One transaction: what is new goes to the spool, and all up to the UID `through` is noted as dealt with.

        Returns how many were new: a message that the folder gave before is not, whatever its UID was then.
        """
        try:
            return self._keep(folder, arrivals, too_big, through)
        except IntegrityError:  # another fetcher of the same mailbox was quicker: by now its messages are known
            return self._keep(folder, arrivals, too_big, through)

    def _keep(self, folder: Folder, arrivals: Sequence[_Arrival], too_big: dict[int, str], through: int) -> int:
        now = self.clock.now()
        first = {arrival.hash: arrival for arrival in reversed(arrivals)}
        with self.database.write() as connection:
            known = mailboxes.known(connection, self.name, first)
            fresh = [one for one in arrivals if first[one.hash] is one and one.hash not in known]
            for arrival in fresh:
                held = arrival.envelope.reason
                spool.keep(
                    connection,
                    self._messages(arrival, now),
                    state="held" if held else "waiting",
                    reason=held or None,
                    message_id=arrival.envelope.message_id if held else None,
                    subject=arrival.envelope.subject if held else None,
                    author=arrival.envelope.author if held else None,
                )
            mailboxes.remember(connection, self.name, [one.hash for one in fresh], now)
            mailboxes.settled(connection, self.name, folder.uid_validity, [one.uid for one in arrivals])
            for uid, why in too_big.items():
                mailboxes.failed(connection, self.name, folder.uid_validity, uid, why, for_good=True)
            mailboxes.advance(connection, self.name, through)
        if fresh:
            self.on_commit()
        return len(fresh)

    def _messages(self, arrival: _Arrival, now: datetime) -> list[spool.Accepted]:
        settings = self.postbox.settings
        # What is nobody's is held under the mailbox's own name.
        nobody = settings.user if "@" in settings.user else f"{settings.user}@{settings.host}"
        return [
            spool.Accepted(
                mail_from=arrival.envelope.mail_from,
                recipient=recipient,
                peer=settings.host,
                via="imap",
                received_at=now,
                raw=arrival.raw,
            )
            for recipient in arrival.envelope.recipients or (nobody,)
        ]


class Reading:
    """What one session reads of its folder; `taken` counts the messages that it kept."""

    def __init__(self, desk: Desk, memory: Memory, session: Session, timing: Timing) -> None:
        self.taken = 0
        self._desk, self._memory, self._session, self._timing = desk, memory, session, timing
        self._folder: Folder
        self._last = 0
        self._to_mark: list[int] = []

    def begin(self) -> None:
        """Open the session, and mark what was kept but not marked when the last one ended."""
        self._folder = folder = self._session.open()
        with self._desk.database.write() as connection:
            self._last = mailboxes.open_folder(
                connection, self._desk.name, uid_validity=folder.uid_validity, uid_next=folder.uid_next
            )
        troubles = self._troubles()
        self._settle(set(troubles) - self._session.still_there(sorted(troubles)))
        if self._last:
            also = "UNDELETED" if self._desk.postbox.settings.move_to else "UNSEEN"
            self._to_mark = [uid for uid in self._session.uids(1, self._last, also) if uid not in troubles]
            self._mark()

    def look(self) -> None:
        """Take in what is new, then what is to be tried again by now."""
        now = time.monotonic()
        self._take_fresh()
        if self._retry(now):
            self._take_fresh()  # a search comes last: what came in after it, the server tells of

    def rest(self, poll: float, wait: Callable[[float], object], use_idle: bool) -> None:
        """Until the server tells of something, or it is time to look again; `wait` waits without the server."""
        if self._session.look_again():
            return
        now = time.monotonic()
        due = min(self._memory.retry_at.values(), default=now + self._timing.idle) - now
        if use_idle:
            self._session.idle(max(0.0, min(self._timing.idle, due)))
        else:
            wait(max(0.0, min(poll, due)))
        self._session.noop()

    def _take_fresh(self) -> None:
        while fresh := self._fresh():
            for start in range(0, len(fresh), _BATCH):
                self._take_some(fresh[start : start + _BATCH])

    def _fresh(self) -> list[int]:
        troubles = self._troubles()
        return [uid for uid in self._session.uids(self._last + 1) if uid not in troubles]

    def _troubles(self) -> dict[int, mailboxes.Trouble]:
        with self._desk.database.read() as connection:
            found = mailboxes.troubles(connection, self._desk.name)
        return {one.uid: one for one in found if one.uid_validity == self._folder.uid_validity}

    def _settle(self, uids: Collection[int]) -> None:
        if uids:
            with self._desk.database.write() as connection:
                mailboxes.settled(connection, self._desk.name, self._folder.uid_validity, uids)

    def _retry(self, now: float) -> bool:
        """Try again what is due; returns whether anything was."""
        memory, troubles = self._memory, self._troubles()
        memory.given_up &= set(troubles)
        memory.retry_at = {uid: memory.retry_at.get(uid, now) for uid in troubles if uid not in memory.given_up}
        due = [uid for uid, at in memory.retry_at.items() if at <= now]
        for uid in due:
            self._take_one(uid)
        self._mark()
        return bool(due)

    def _take_some(self, uids: Sequence[int]) -> None:
        if len(uids) > 1 and self._memory.singly.isdisjoint(uids):
            try:
                self._take(uids)
            except Exception as error:
                # One of them may be poison: from now on they are taken one by one.
                self._memory.singly.update(uids)
                if isinstance(error, LostError) or is_outage(error):
                    raise
        for uid in uids:
            if uid > self._last:
                self._take_one(uid)
        self._mark()

    def _take_one(self, uid: int) -> None:
        try:
            self._take([uid])
        except Exception as error:
            if self._session.was_cut or is_outage(error):
                raise
            self._fail(uid, error)
            if isinstance(error, LostError):
                raise
            return
        self._memory.singly.discard(uid)
        self._memory.retry_at.pop(uid, None)

    def _take(self, uids: Sequence[int]) -> None:
        sizes = self._session.sizes(uids)
        for group in _groups(uids, sizes, self._desk.max_size):
            self._take_group(group, sizes)

    def _take_group(self, uids: Sequence[int], sizes: dict[int, int]) -> None:
        """Fetch and keep the messages of one transaction."""
        most = self._desk.max_size
        too_big = {
            uid: f"It has {sizes[uid]} bytes, and {most} are the most that is taken."
            for uid in uids
            if sizes.get(uid, 0) > most
        }
        wanted = [uid for uid in uids if uid not in too_big]
        # The size told of one alone may be a lie; of many together it bounds the memory.
        allowed = most if len(wanted) == 1 else sum(sizes.get(uid, 0) for uid in wanted) + _SLACK
        bodies = self._session.bodies(wanted, allowed) if wanted else {}
        gone = {uid for uid in wanted if uid not in bodies}
        if denied := self._session.still_there(sorted(gone)):
            raise DeniedError(f"the server gives nothing for UID {min(denied)}")
        arrivals = [self._desk.arrival(uid, bodies[uid]) for uid in wanted if uid in bodies]
        self.taken += self._desk.keep(self._folder, arrivals, too_big, through=uids[-1])
        self._last = max(self._last, uids[-1])
        self._to_mark += [arrival.uid for arrival in arrivals]
        self._settle(gone)
        for uid, why in too_big.items():
            self._leave(uid, why)

    def _fail(self, uid: int, error: Exception) -> None:
        """Note that a message failed once more; the others go on."""
        with self._desk.database.write() as connection:
            trouble = mailboxes.failed(connection, self._desk.name, self._folder.uid_validity, uid, words(error))
            mailboxes.advance(connection, self._desk.name, uid)
        self._last = max(self._last, uid)
        if trouble.given_up:
            self._leave(uid, trouble.error)
            return
        self._memory.retry_at[uid] = time.monotonic() + self._timing.retry
        log.warning(
            "Mailbox %s: UID %d failed, and is tried again: %s",
            self._desk.name,
            uid,
            trouble.error,
            exc_info=error if is_ours(error) else None,
        )

    def _leave(self, uid: int, why: str) -> None:
        self._memory.retry_at.pop(uid, None)
        self._memory.given_up.add(uid)
        log.error("Mailbox %s: UID %d is left where it is: %s", self._desk.name, uid, why)

    def _mark(self) -> None:
        uids, self._to_mark = self._to_mark, []
        try:
            self._session.mark_done(uids)
        except DeniedError as error:
            # They are kept, and the next session tries to mark them again.
            log.warning("Mailbox %s: %d messages cannot be marked as done: %s", self._desk.name, len(uids), error)


def _groups(uids: Sequence[int], sizes: dict[int, int], max_size: int) -> Iterator[list[int]]:
    """UIDs in their order, in groups whose messages are not too many bytes together."""
    group: list[int] = []
    total = 0
    for uid in uids:
        size = sizes.get(uid, 0)
        size = size if size <= max_size else 0  # it is not fetched
        if group and total + size > _BATCH_BYTES:
            yield group
            group, total = [], 0
        group.append(uid)
        total += size
    yield group


def _with_crlf(raw: bytes) -> bytes:
    """A message whose lines all end in CR LF, so that its hash is the same whatever a server makes of line ends."""
    pairs = raw.count(b"\r\n")
    if raw.count(b"\r") == pairs and raw.count(b"\n") == pairs:
        return raw
    return _LINE_END.sub(b"\r\n", raw)


def is_ours(error: Exception) -> bool:
    """Whether an error is no server's: its traceback is worth something."""
    return not isinstance(error, LostError | DeniedError | RefusedError)


def words(error: Exception) -> str:
    """What an error says, in one printable line."""
    text = f"{type(error).__name__}: {error}" if is_ours(error) else str(error)
    return "".join(one if one.isprintable() else " " for one in text)
