"""Mail in from IMAP mailboxes: a thread for each, which holds a session and comes back when that is lost.

It asks a server that cannot be reached at most each second and at least each minute, and one that refuses us four times
an hour. It decides nothing about a message: there is no sender at hand to be refused, so that is intake's.
"""

import contextlib
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer.envelope import Postbox
from tidings.mailer.imap_folder import Desk, Memory, Reading, is_ours, words
from tidings.mailer.imap_session import DeniedError, LoginCutError, LostError, RefusedError, Session, Timing
from tidings.settings import ImapSettings

log = logging.getLogger(__name__)
_CUTS = 3  # lost sign-ins in a row that are taken for a refusal
_JOIN = 5.0  # seconds that `stop` waits
_NAME_LIMIT = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FIELD_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8
# Quotes, backslashes and braces begin strings and literals, the last two are wild cards (RFC 9051 9, list-mailbox).
_NOT_IN_NAMES = re.compile(r'["\\{}%*]')


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a mailbox is doing; `error` is empty where all is well."""

    name: str
    last_success: datetime | None = None
    error: str = ""
    failing_since: datetime | None = None
    needs_person: bool = False  # a password, a certificate, a folder: nothing mends itself


def mailbox_name(mailbox: ImapSettings) -> str:
    """What a mailbox is called in tables and logs, USER@HOST/FOLDER.

    Raises SettingsError for settings that cannot be, or would say something else to the server than was meant.
    """
    for key in ("host", "user", "folder"):
        value = getattr(mailbox, key)
        if not value or not value.isprintable():
            raise SettingsError(
                f"imap.{key} {value!r} is empty or has a control character; say which mailbox is meant."
            )
    for key in ("folder", "move_to"):
        value = getattr(mailbox, key)
        if not value.isprintable() or _NOT_IN_NAMES.search(value):
            raise SettingsError(f'imap.{key} {value!r} has a control character or one of " \\ {{ }} % * in it.')
    if mailbox.move_to == mailbox.folder:
        raise SettingsError("imap.move_to is the folder that is read; name another one, or none.")
    for name in mailbox.recipient_headers:
        if not _FIELD_NAME.fullmatch(name):
            raise SettingsError(f"imap.recipient_headers: {name!r} is no name of a header field.")
    name = f"{mailbox.user}@{mailbox.host}/{mailbox.folder}"
    if len(name) > _NAME_LIMIT:
        raise SettingsError(f"imap: user, host and folder have more than {_NAME_LIMIT} characters together.")
    return name


@dataclass(kw_only=True)
class Patience:
    """How long to wait after a failure, in seconds: doubling to a minute, or a quarter of an hour where refused."""

    timing: Timing
    _wait: float = 0.0
    _cuts: int = 0

    def after(self, error: Exception, lasted: float) -> float:
        """`lasted` is how many seconds the session held: after a long one the next wait is short again."""
        self._cuts = self._cuts + 1 if isinstance(error, LoginCutError) else 0
        # A server that hangs up on wrong passwords must not be asked each minute, or it locks the account.
        if isinstance(error, RefusedError) or self._cuts >= _CUTS:
            return self.timing.refused_wait
        if lasted >= self.timing.longest_wait:
            self._wait = 0.0
        self._wait = min(self.timing.longest_wait, max(self.timing.first_wait, 2 * self._wait))
        return self._wait


class Fetcher:
    """Fetches the mail of one mailbox."""

    def __init__(
        self,
        mailbox: ImapSettings,
        *,
        password: str,
        spool_database: Database,
        knows: Callable[[str], bool],
        post_address: Callable[[str], str | None],
        clock: Clock,
        max_size: int,
        on_commit: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`knows` and `post_address` are those of envelope.Postbox, `max_size` is in bytes.

        `on_commit` is called whenever mail was kept, from the fetcher's thread. `context` replaces the system's trust.
        Raises SettingsError.
        """
        name = mailbox_name(mailbox)
        if _CONTROL.search(password):
            raise SettingsError(f"The password of {name} has a control character; its file is to have it alone.")
        self._mailbox, self._password, self._context = mailbox, password, context
        self._timing = timing or Timing()
        self._desk = Desk(
            name=name,
            postbox=Postbox(settings=mailbox, knows=knows, post_address=post_address),
            database=spool_database,
            clock=clock,
            max_size=max_size,
            on_commit=on_commit,
        )
        self.status = Status(name=name)
        self._memory = Memory()
        self._idle_works = True
        self._stopping = threading.Event()
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._run, name=f"imap {name}", daemon=True)

    def start(self) -> None:
        """Fetch from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End what was started; a commit that is under way is finished."""
        self._stopping.set()
        if session := self._session:
            session.cut()
        # A thread that looks up a host's name cannot be woken; it ends by itself, having done nothing.
        self._thread.join(_JOIN)

    def run_once(self) -> int:
        """Fetch what is there now; returns how many messages went to the spool.

        Raises LostError, DeniedError and RefusedError, and what the database raises.
        """
        with self._reading() as (_, reading):
            reading.look()
            return reading.taken

    def _run(self) -> None:
        patience = Patience(timing=self._timing)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._stay()
            except Exception as error:
                if self._stopping.is_set():
                    return
                self._failed(error)
                self._stopping.wait(patience.after(error, time.monotonic() - began))

    def _stay(self) -> None:
        """One session, for as long as it holds."""
        with self._reading() as (session, reading):
            while not self._stopping.is_set():
                began = time.monotonic()
                reading.look()
                self._succeeded()
                self._rest(session, reading)
                self._stopping.wait(began + self._timing.pause - time.monotonic())

    @contextlib.contextmanager
    def _reading(self) -> Iterator[tuple[Session, Reading]]:
        session = self._session = Session(self._mailbox, self._password, self._timing, self._context)
        if self._stopping.is_set():
            session.cut()
        try:
            reading = Reading(self._desk, self._memory, session, self._timing)
            reading.begin()
            yield session, reading
            session.close()
        finally:
            self._session = None
            session.abandon()

    def _rest(self, session: Session, reading: Reading) -> None:
        use_idle = session.has_idle and self._idle_works
        try:
            reading.rest(self._mailbox.poll, self._stopping.wait, use_idle)
        except DeniedError as error:
            # It offers IDLE and does not do it: from now on it is asked instead.
            self._idle_works = self._idle_works and not use_idle
            raise LostError(str(error)) from error

    def _succeeded(self) -> None:
        if self.status.error:
            log.info("Mailbox %s: all is well again.", self.status.name)
        self.status = Status(name=self.status.name, last_success=self._desk.clock.now())

    def _failed(self, error: Exception) -> None:
        """Say so once, not at each try."""
        before = self.status
        self.status = replace(
            before,
            error=words(error),
            failing_since=before.failing_since or self._desk.clock.now(),
            needs_person=isinstance(error, RefusedError),
        )
        if before.error and before.needs_person == self.status.needs_person:
            return
        if self.status.needs_person:
            log.error(
                "Mailbox %s: %s. Nothing is fetched until that is mended; it is tried again every %d minutes.",
                before.name,
                self.status.error,
                self._timing.refused_wait // 60,
            )
        else:
            trace = error if is_ours(error) else None
            log.warning("Mailbox %s: %s. It is tried again soon.", before.name, self.status.error, exc_info=trace)
