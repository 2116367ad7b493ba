"""Files messages: archived and placed in their threads, whether they arrived or are imported.

It asks no policy and puts nothing out.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from tidings.archive import store
from tidings.mailer.addresses import is_edition_id, is_meeting_id
from tidings.mailer.parsed import ParsedMessage
from tidings.settings import Settings
from tidings.threading.decisions import Arrivals
from tidings.threading.likeness import likeness
from tidings.threading.parents import candidates, referred
from tidings.threading.place import Arrival

_TOKEN = re.compile(r"[+-]r\.[a-z2-7]{34}(?=@)", re.IGNORECASE)  # of an item's reply address


class Filing:
    """Stores messages of one community in one transaction and places them: what arrival and import have in common.

    What is stored of them is asked for together where they are `expect`ed. `flush` it once all are filed.
    """

    def __init__(self, connection: Connection, community_id: int, settings: Settings, writes: store.Writes) -> None:
        self._connection, self._community_id = connection, community_id
        self._settings, self._writes = settings, writes
        self._arrivals = Arrivals(connection, community_id)  # first: from here on nobody else stores posts here
        self._ids = store.Ids(connection, community_id)
        self._numbers = store.Numbers(connection, community_id)

    def expect(self, messages: Sequence[ParsedMessage]) -> None:
        """Look up together what will be asked when these are filed, and take their archive numbers."""
        ids = {one.message_id: None for one in messages if one.message_id}
        self._ids.expect(ids)
        if many := sum(isinstance(self._ids.known(one, self._settings.site.domain), str) for one in messages):
            self._numbers.expect(many)
        limit = self._settings.limits.references
        self._arrivals.expect(
            [*ids, *(bare for one in messages for bare in referred(one.in_reply_to, one.references, limit))]
        )

    def file(
        self,
        message: ParsedMessage,
        blob: store.Blob,
        *,
        received_at: datetime,
        via: str,
        from_line: bytes | None = None,
        answers: str | None = None,
    ) -> store.Stored | store.Known:
        """Store a message and place it in its thread. `answers` is the id that a reply token names.

        What is known already is left as it is.
        """
        connection, writes = self._connection, self._writes
        known = self._ids.known(message, self._settings.site.domain)
        if isinstance(known, store.Known):
            return known
        stored = store.add(
            connection,
            self._community_id,
            message,
            blob,
            message_id=known,
            received_at=received_at,
            via=via,
            numbers=self._numbers,
            writes=writes,
            from_line=from_line,
            answers=answers,
        )
        self._ids.add(known, stored.post_id, message.content_hash)
        arrival = arrival_of(
            message, self._settings, message_id=known, post_id=stored.post_id, date=stored.date, answers=answers
        )
        placed = self._arrivals.place(arrival)
        store.settle(connection, self._community_id, stored.post_id, placed.node.thread_id, placed.merged, writes)
        if placed.moved:
            writes.flush(connection)
            threads = [(one.post_id, one.thread_id) for one in placed.moved if one.post_id is not None]
            store.set_threads(connection, threads)
        return stored

    def flush(self) -> None:
        """Write what waits, and give back the numbers of what was expected and is not stored."""
        self._writes.flush(self._connection)
        self._numbers.give_back()


class Related(Protocol):
    """What `place` is told of a message, by its header and by what is shown of it."""

    @property
    def in_reply_to(self) -> str: ...
    @property
    def references(self) -> str: ...
    @property
    def thread_index(self) -> str: ...
    @property
    def list_ids(self) -> list[str]: ...
    @property
    def subject(self) -> str: ...
    @property
    def author_email(self) -> str: ...
    @property
    def recipients(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def folds(self) -> Sequence[tuple[int, int, str]]: ...


def arrival_of(
    message: Related, settings: Settings, *, message_id: str, post_id: int, date: datetime, answers: str | None
) -> Arrival:
    """What `place` wants to know of a stored message; `answers` is the id that a reply token named.

    What is put under a meeting or a topic stands there alone: its mail may answer anything else too.
    """
    is_placed = answers is not None and is_meeting_id(answers, settings.site.domain)
    return Arrival(
        message_id=message_id,
        post_id=post_id,
        date=date,
        candidates=candidates(
            message_id=message_id,
            in_reply_to="" if is_placed else message.in_reply_to,
            references="" if is_placed else message.references,
            answers=answers,
            never=lambda bare: is_edition_id(bare, settings.site.domain),
            limit=settings.limits.references,
        ),
        like=likeness(
            subject=message.subject,
            author=message.author_email,
            recipients=message.recipients,
            text=message.text,
            folds=message.folds,
            thread_index="" if is_placed else message.thread_index,
            lists=message.list_ids,
        ),
    )


def as_item_reply(message: ParsedMessage, text: str, subject: str, part: int | None = None) -> ParsedMessage:
    """A reply to an item as it is archived: the member's own words under the thread's subject, none of the digest.

    Of a mail that answers several items the further posts name their `part`: same id, other content.
    """
    content_hash = message.content_hash
    if part is not None:
        content_hash = hashlib.sha256(content_hash + b"#%d" % part).digest()
    recipients = _TOKEN.sub("", message.recipients)
    return msgspec.structs.replace(
        message, text=text, folds=[], subject=subject, recipients=recipients, content_hash=content_hash
    )
