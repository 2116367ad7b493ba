"""How far each IMAP folder was read, which messages came from it, and which of them give trouble.

The only writer of the tables `mailbox`, `mailbox_message` and `mailbox_trouble`. They lie beside the spool, so that a
message is spooled and noted in one transaction. It talks to no server and looks into no message.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tidings.database.tables import mailbox, mailbox_message, mailbox_trouble

TRIES = 3  # how often a message is asked for before it is left where it is
_ERROR_LIMIT = 500  # characters of an error that are kept
_IN_QUESTION = 400  # hashes of one question: engines bound how many values it may have

_FOLDER = select(mailbox.c.uid_validity, mailbox.c.last_uid).where(mailbox.c.name == bindparam("folder"))
_ADVANCE = (
    update(mailbox)
    .where(mailbox.c.name == bindparam("folder"), mailbox.c.last_uid < bindparam("uid"))
    .values(last_uid=bindparam("uid"))
)
_KNOWN = select(mailbox_message.c.hash).where(
    mailbox_message.c.mailbox == bindparam("folder"), mailbox_message.c.hash.in_(bindparam("hashes", expanding=True))
)
_REMEMBER = insert(mailbox_message)
_TROUBLES = select(mailbox_trouble).order_by(mailbox_trouble.c.mailbox, mailbox_trouble.c.uid)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A message of a folder that could not be fetched or kept."""

    mailbox: str  # USER@HOST/FOLDER
    uid_validity: int
    uid: int
    tries: int
    error: str

    @property
    def given_up(self) -> bool:
        """It was tried often enough: it is left where it is, and skipped."""
        return self.tries >= TRIES


def open_folder(connection: Connection, folder: str, *, uid_validity: int, uid_next: int | None) -> int:
    """The last UID that was dealt with in a folder that was just selected; 0: read it from its start.

    UIDs began anew where their validity is another one, where the server says none (0), or where the next UID is one
    that was seen already (RFC 9051 2.3.1.1 forbids that; servers do it). What was told of older UIDs is forgotten then.
    """
    found = connection.execute(_FOLDER, {"folder": folder}).first()
    if found is None:
        connection.execute(insert(mailbox).values(name=folder, uid_validity=uid_validity, last_uid=0))
        return 0
    same = found.uid_validity == uid_validity and (uid_next is None or uid_next > found.last_uid)
    if same and uid_validity:
        return int(found.last_uid)
    connection.execute(update(mailbox).where(mailbox.c.name == folder).values(uid_validity=uid_validity, last_uid=0))
    if not same:
        connection.execute(delete(mailbox_trouble).where(mailbox_trouble.c.mailbox == folder))
    return 0


def advance(connection: Connection, folder: str, uid: int) -> None:
    """Note that all messages up to `uid` were dealt with: they are in the spool, or among the troubles."""
    connection.execute(_ADVANCE, {"folder": folder, "uid": uid})


def known(connection: Connection, folder: str, hashes: Collection[bytes]) -> set[bytes]:
    """Which of these messages came from the folder before, by the SHA-256 of their bytes with CR LF line ends."""
    asked = list(hashes)
    found: set[bytes] = set()
    for start in range(0, len(asked), _IN_QUESTION):
        some = asked[start : start + _IN_QUESTION]
        found.update(bytes(one) for one in connection.execute(_KNOWN, {"folder": folder, "hashes": some}).scalars())
    return found


def remember(connection: Connection, folder: str, hashes: Iterable[bytes], at: datetime) -> None:
    """Note messages that came from the folder; none of them may be known."""
    rows = [{"mailbox": folder, "hash": one, "fetched_at": at} for one in hashes]
    if rows:
        connection.execute(_REMEMBER, rows)


def failed(
    connection: Connection, folder: str, uid_validity: int, uid: int, error: str, *, for_good: bool = False
) -> Trouble:
    """Note that a message could not be fetched or kept, once more or `for_good`; returns how that stands now."""
    row = mailbox_trouble.c
    here = (row.mailbox == folder, row.uid_validity == uid_validity, row.uid == uid)
    before = connection.execute(select(row.tries).where(*here)).scalar()
    tries = TRIES if for_good else (before or 0) + 1
    values = {"tries": tries, "error": error[:_ERROR_LIMIT]}
    if before is None:
        connection.execute(insert(mailbox_trouble).values(mailbox=folder, uid_validity=uid_validity, uid=uid, **values))
    else:
        connection.execute(update(mailbox_trouble).where(*here).values(**values))
    return Trouble(mailbox=folder, uid_validity=uid_validity, uid=uid, tries=tries, error=str(values["error"]))


def settled(connection: Connection, folder: str, uid_validity: int, uids: Collection[int]) -> None:
    """Forget the trouble with messages that came after all, or that are not in the folder any more."""
    row = mailbox_trouble.c
    for uid in uids:
        connection.execute(
            delete(mailbox_trouble).where(row.mailbox == folder, row.uid_validity == uid_validity, row.uid == uid)
        )


def troubles(connection: Connection, folder: str | None = None) -> list[Trouble]:
    """What could not be fetched or kept, of one folder or of all; for the admin, and for the next try."""
    query = _TROUBLES if folder is None else _TROUBLES.where(mailbox_trouble.c.mailbox == folder)
    return [Trouble(**row._asdict()) for row in connection.execute(query)]
