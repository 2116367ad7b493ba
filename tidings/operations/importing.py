"""Archives old mail: parses, places and stores, with a verdict for every message.

Import is not arrival: no posting policy, no mail out, and no digest tells of it.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from tidings.archive import store
from tidings.archive.mbox import Entry
from tidings.clock import Clock
from tidings.communities.directory import Community
from tidings.database.engine import Database
from tidings.intake.filing import Filing
from tidings.mailer.addresses import Addresses
from tidings.mailer.parsed import ParsedMessage, claimed_id
from tidings.mailer.spool import Accepted, Spool
from tidings.mailer.worker import Outcome, ParseWorker, Readable, Unreadable
from tidings.operations.erase import erased_before
from tidings.operations.origins import Fields, Origin, origin, refusal
from tidings.settings import Settings
from tidings.tokens import Tokens

_BATCH = 100  # messages a transaction: others wait for the writer no longer than a blink

Kind = Literal["stored", "duplicate", "held", "refused"]


@dataclass(frozen=True, kw_only=True)
class ImportVerdict:
    """What became of one message of an import."""

    source: str  # the file, and in an mbox the message's number
    verdict: Kind
    reason: str
    message_id: str | None
    read_as: Origin
    offset: int  # bytes of the source read so far


class _Read(NamedTuple):
    """A message of a source, what the parser made of it, and its bytes as they are kept."""

    entry: Entry
    outcome: Outcome
    blob: store.Blob


class Importer:
    """Imports into one community. With `dry_run` all is parsed and nothing is stored.

    `wanted` is the address of the list whose mail alone is taken. Where it is empty, all is, but out of a mailbox that
    may hold other mail what names the community.
    """

    def __init__(
        self,
        *,
        database: Database,
        spool: Spool,
        worker: ParseWorker,
        community: Community,
        clock: Clock,
        settings: Settings,
        tokens: Tokens,
        wanted: str = "",
        dry_run: bool = False,
    ) -> None:
        self._database = database
        self._spool = spool
        self._worker = worker
        self._community = community
        self._clock = clock
        self._settings = settings
        self._tokens = tokens
        self._wanted = wanted
        self._dry_run = dry_run
        self._own = Addresses(settings.site).of(community).post
        self._seen: set[tuple[str, bytes]] = set()  # by a dry run, which keeps nothing that could be found again

    def run(self, entries: Iterable[Entry]) -> Iterator[ImportVerdict]:
        """A verdict for each entry, in their order; repeatable: what is there already is a duplicate."""
        for batch in _read_ahead(entries, self._worker):
            yield from self._file(batch)

    def _file(self, batch: list[_Read]) -> Iterator[ImportVerdict]:
        writes = store.Writes()
        with self._database.write() as connection:
            filing = Filing(connection, self._community.id, self._settings, writes)
            filing.expect([one.outcome.message for one in batch if isinstance(one.outcome, Readable)])
            erased = self._erased(connection, [one.outcome for one in batch])
            verdicts = [
                self._decide(connection, one, erased_at, filing, writes)
                for one, erased_at in zip(batch, erased, strict=True)
            ]
            filing.flush()
            if self._dry_run:
                connection.rollback()
        held = [(read.entry, one.reason) for read, one in zip(batch, verdicts, strict=True) if one.verdict == "held"]
        if held and not self._dry_run:
            self._hold(held)
        yield from verdicts

    def _decide(
        self,
        connection: Connection,
        read: _Read,
        erased_at: datetime | None,
        filing: Filing,
        writes: store.Writes,
    ) -> ImportVerdict:
        """The verdict on one message, which is stored where nothing stands against it."""
        entry, outcome = read.entry, read.outcome
        fields = Fields(entry.raw)
        found = origin(entry, fields)

        def verdict(kind: Kind, reason: str, message_id: str | None = None) -> ImportVerdict:
            return ImportVerdict(
                source=entry.source,
                verdict=kind,
                reason=reason,
                message_id=message_id,
                read_as=found,
                offset=entry.offset,
            )

        if reason := refusal(found, fields, self._wanted or self._own, chosen=bool(self._wanted)):
            return verdict("refused", reason)
        if isinstance(outcome, Unreadable):
            return verdict("held", outcome.reason)
        if not entry.raw.strip():
            return verdict("refused", "It is empty.")
        message = outcome.message
        if erased_at and (message.date or erased_at) <= erased_at:
            return verdict("refused", "It, or who wrote it, was erased here.")
        filed = self._as_if_kept(message, self._store(filing, read, message))
        if isinstance(filed, store.Known):
            mended = store.mend(connection, filed.post_id, entry.raw, writes)
            reason = " Its raw bytes were damaged there, and are put back." if mended else ""
            return verdict("duplicate", f"It is in the archive already.{reason}", filed.message_id)
        return verdict("stored", _remarks(entry, message, filed), filed.message_id)

    def _store(self, filing: Filing, read: _Read, message: ParsedMessage) -> store.Stored | store.Known:
        now, entry = self._clock.now(), read.entry
        return filing.file(
            message,
            read.blob,
            # No message came after now, whatever it says: a Date far ahead is not to stand on top for ever.
            received_at=min(entry.envelope_date or message.date or now, now),
            via="import",
            from_line=entry.from_line,
        )

    def _erased(self, connection: Connection, outcomes: list[Outcome]) -> list[datetime | None]:
        """When each message, or who wrote it, was erased; None for what was not."""
        messages = {place: one.message for place, one in enumerate(outcomes) if not isinstance(one, Unreadable)}
        found = dict(zip(messages, erased_before(connection, self._tokens, [*messages.values()]), strict=True))
        return [found.get(place) for place in range(len(outcomes))]

    def _as_if_kept(self, message: ParsedMessage, filed: store.Stored | store.Known) -> store.Stored | store.Known:
        """What a dry run says of a message: it is a duplicate too of what an earlier batch would have stored."""
        if not self._dry_run or isinstance(filed, store.Known):
            return filed
        mark = (message.message_id, message.content_hash)
        if mark in self._seen:
            return store.Known(post_id=filed.post_id, message_id=filed.message_id)
        self._seen.add(mark)
        return filed

    def _hold(self, held: list[tuple[Entry, str]]) -> None:
        """What cannot be read waits for a person, with its bytes; a repeated import does not hold it twice."""
        listed = [entry for entry in self._spool.listing("held") if entry.recipient == self._own]
        known = {self._spool.raw(entry.key) for entry in listed}
        for entry, reason in held:
            if entry.raw not in known:
                known.add(entry.raw)
                accepted = Accepted(
                    mail_from="",
                    recipient=self._own,
                    peer=entry.source,
                    via="import",
                    received_at=self._clock.now(),
                    raw=entry.raw,
                )
                self._spool.append(
                    [accepted],
                    state="held",
                    reason=reason,
                    message_id=claimed_id(entry.raw),
                    community=self._community.name,
                )


def _remarks(entry: Entry, message: ParsedMessage, stored: store.Stored) -> str:
    """What is to be known of a stored message that is not as it was sent."""
    said = []
    if stored.sent_id is not None:
        said.append(f"Its Message-ID could not be kept ({message.message_id or 'none'}).")
    if message.author_email and message.author_email.encode() not in entry.raw:
        said.append(f"Its From is obscured, and read as {message.author_email}.")
    return " ".join(said)


def _read_ahead(entries: Iterable[Entry], worker: ParseWorker) -> Iterator[list[_Read]]:
    """Batches of entries that are parsed and packed; while the caller stores one, the next is made ready."""
    source = iter(entries)

    def read() -> list[_Read]:
        batch = list(islice(source, _BATCH))
        outcomes = worker.parse_many([entry.raw for entry in batch])
        # Packed here, while the worker parses: compression needs no turn among the threads of this process.
        return [_Read(entry, outcome, store.packed(entry.raw)) for entry, outcome in zip(batch, outcomes, strict=True)]

    with ThreadPoolExecutor(1, "read") as ahead:
        coming = ahead.submit(read)
        while batch := coming.result():
            coming = ahead.submit(read)
            yield batch
