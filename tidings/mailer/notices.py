"""Notices: mail that the system itself writes, put into the outbox in the caller's transaction.

The only writer of the table `notice_count`. It sends nothing and knows no wording; who writes a notice says what it is
about.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import TypedReturnsRows

from tidings.communities.directory import email_key
from tidings.database.tables import notice_count
from tidings.mailer import outbox
from tidings.mailer.compose import notice
from tidings.settings import Settings


class Notices:
    """Writes the notices of one site."""

    def __init__(self, settings: Settings) -> None:
        self._site = settings.site
        self._per_day = settings.limits.notices_per_day

    def send(
        self,
        connection: Connection,
        *,
        key: str,
        recipient: str,
        subject: str,
        text: str,
        now: datetime,
        community_id: int | None = None,
        answers: str | None = None,
        sender: str = "",
        name: str = "",
        unproved: bool = False,
        mail_from: str = "",
    ) -> bool:
        """Write a notice once per `key`; False where it was written before. `answers` is a bare Message-ID.

        `sender` is the From address, to which a plain reply goes (the postmaster's where it is empty), `name` what
        stands before it. An `unproved` one answers mail that anybody may have sent in the recipient's name: of these an
        address gets a few a day, and then False. `mail_from` is the return path's community, for a mail that tries
        whether an address works; notices have none (RFC 3834 3.3).
        """
        if unproved and not self._one_more(connection, recipient, now):
            return False
        raw = notice(
            site=name or self._site.name,
            sender=sender or f"postmaster@{self._site.domain}",
            recipient=recipient,
            subject=subject,
            text=text,
            date=now,
            domain=self._site.domain,
            answers=answers,
        )
        return outbox.add_notice(
            connection,
            key=key,
            recipient=recipient,
            raw=raw,
            now=now,
            community_id=community_id,
            mail_from=mail_from,
        )

    def _one_more(self, connection: Connection, recipient: str, now: datetime) -> bool:
        """Count one more of today's notices to the recipient; False where there were enough."""
        values = {"email_key": email_key(recipient), "day": now.astimezone(UTC).date().isoformat()}
        many = connection.execute(_COUNT[connection.dialect.name], values).scalar_one()
        if many == 1:
            connection.execute(delete(notice_count).where(notice_count.c.day < values["day"]))
        return many <= self._per_day


def _count(dialect: str) -> TypedReturnsRows[int]:
    inserted = (postgresql if dialect == "postgresql" else sqlite).insert(notice_count)
    one_more = {"many": notice_count.c.many + literal_column("1")}
    values = inserted.values(email_key=bindparam("email_key"), day=bindparam("day"), many=1)
    counted: TypedReturnsRows[int] = values.on_conflict_do_update(
        index_elements=["email_key", "day"], set_=one_more
    ).returning(notice_count.c.many)
    return counted


_COUNT = {dialect: _count(dialect) for dialect in ("sqlite", "postgresql")}
