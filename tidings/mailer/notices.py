"""Notices: mail that the system itself writes, put into the outbox in the caller's transaction.

It sends nothing and knows no wording; who writes a notice says what it is about.
"""

from datetime import datetime

from sqlalchemy import Connection

from tidings.mailer import outbox
from tidings.mailer.compose import notice
from tidings.settings import Settings


class Notices:
    """Writes the notices of one site."""

    def __init__(self, settings: Settings) -> None:
        self._site = settings.site

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
    ) -> bool:
        """Write a notice once per `key`; False where it was written before. `answers` is a bare Message-ID."""
        raw = notice(
            site=self._site.name,
            sender=f"postmaster@{self._site.domain}",
            recipient=recipient,
            subject=subject,
            text=text,
            date=now,
            domain=self._site.domain,
            answers=answers,
        )
        return outbox.add_notice(connection, key=key, recipient=recipient, raw=raw, now=now, community_id=community_id)
