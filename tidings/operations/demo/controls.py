"""What a visitor of the demo does to it: pushes the clock from one due moment to the next, and sends mail as a member.

The site's parts are passed in. Mail goes in by a real SMTP connection to the site's own listener.
"""

import math
import smtplib
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage

from sqlalchemy import func, select

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.database.tables import delivery, edition_section, period
from tidings.digests import rhythms
from tidings.mailer.spool import Spool
from tidings.operations.demo import due
from tidings.settings import Settings, host_port

_PATIENCE = 15.0  # seconds until mail that does not get through is no longer waited for
_LOOK = 0.02
_FARTHEST = timedelta(days=16)  # a cut-off comes within a week, and a crew of any pattern works within nine days of it
_CLIENT = "member.example.org"


class Controls:
    """The demo's clock and its box to write from."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        spool: Spool,
        clock: Clock,
        push_clock: Callable[[timedelta], None],
        run_due: Callable[[], object],
        smtp_port: Callable[[], int],
    ) -> None:
        """`push_clock` moves the clock on; `run_due` does what is due by it and lets it be sent."""
        self.clock = clock
        self._host = host_port(settings.smtp.listen)[0]
        self._database = database
        self._spool = spool
        self._push_clock = push_clock
        self._run_due = run_due
        self._smtp_port = smtp_port
        self._turn = threading.Lock()
        self._pause = threading.Event()

    def push(self, by: timedelta) -> None:
        """Let that time pass: on the way all is done when it is due, and it returns when the mail of it was sent."""
        with self._turn:
            self._pass(self.clock.now() + by, to_first_digest=False)

    def push_to_next_digest(self) -> bool:
        """Let the time pass until the next digests are sent; False, and no time passes, where nothing is to be told."""
        with self._turn:
            with self._database.read() as connection:
                if not due.something_to_tell(connection):
                    return False
            self._pass(self.clock.now() + _FARTHEST, to_first_digest=True)
            return True

    def send(self, sender: str, recipient: str, message: EmailMessage) -> str:
        """Send a message by SMTP and wait until the site has decided about it; returns the refusal, empty for none."""
        try:
            with smtplib.SMTP(self._host, self._smtp_port(), _CLIENT, timeout=_PATIENCE) as client:
                client.sendmail(sender, [recipient], message.as_bytes(), mail_options=["BODY=8BITMIME"])
        except smtplib.SMTPRecipientsRefused as refused:
            return _reply(*refused.recipients[recipient])
        except smtplib.SMTPResponseException as refused:
            return _reply(refused.smtp_code, refused.smtp_error)
        self._settle()
        return ""

    def _pass(self, until: datetime, *, to_first_digest: bool) -> None:
        """Go from one due moment to the next, so that everything is sent at its own time."""
        self._settle()
        before = self._digests()
        for moment in due.moments(self._database, self.clock, until):
            # The offset has whole seconds: rounded up, or it would stand just before the moment.
            self._push_clock(timedelta(seconds=max(math.ceil((moment - self.clock.now()).total_seconds()), 0)))
            self._run_due()
            self._settle()
            if to_first_digest and self._digests() > before:
                return

    def _settle(self) -> None:
        """Return when nothing waits in the spool and nothing that is due waits in the outbox."""
        end = time.monotonic() + _PATIENCE
        while self._busy() and time.monotonic() < end:
            self._pause.wait(_LOOK)

    def _busy(self) -> bool:
        if self._spool.counts()["waiting"]:
            return True
        queued = select(delivery.c.id).where(delivery.c.state == "queued", delivery.c.due_at <= self.clock.now())
        with self._database.read() as connection:
            return connection.execute(queued.limit(1)).first() is not None

    def _digests(self) -> int:
        """How many digests were sent; agendas and reminders are none."""
        told = select(func.count()).join_from(edition_section, period, period.c.id == edition_section.c.period_id)
        of_digests = told.where(edition_section.c.state == "composed", period.c.rhythm.in_(rhythms.DIGESTS))
        with self._database.read() as connection:
            return int(connection.execute(of_digests).scalar_one())


def _reply(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"
