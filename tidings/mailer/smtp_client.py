"""Our side of SMTP: some reused sessions to the smart host, over which letters are carried at the same time.

It knows no database and decides no retry. It never sends in the clear what was to be encrypted; where that is only
tried, a host that offers it and then cannot do it gets nothing. It raises for no trouble of the network: that too is an
answer.
"""

import logging
import selectors
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

from tidings.mailer.smtp_session import Answer, Letter, Session, failure

log = logging.getLogger(__name__)

_LONGEST = 1.0  # seconds after which `send` begins no other letter
_WORTH = 10  # letters that are worth one more session
_OPENING = 10.0  # seconds for each step of opening it
_ENOUGH = 300.0  # seconds until it is tried again, once the host let us have no more


class SmtpTransport:
    """Sends by sessions to the smart host, opened when needed and reused; for one thread.

    One thread serves all sessions: one for each would spend their time on handing the interpreter to each other.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        name: str,
        connections: int = 1,
        tls: Literal["none", "try", "starttls", "tls"] = "none",
        user: str = "",
        password: str = "",
        timeout: float = 120.0,
        end_timeout: float = 600.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`name` is what we call ourselves in EHLO; `timeout` in seconds is for an answer.

        `end_timeout` is for the body and the answer to it (RFC 5321 4.5.3.2.6: ten minutes). `context` replaces the
        system's trust.
        """
        self._host, self._port, self._name, self._tls = host, port, name, tls
        self._user, self._password = user, password
        self._timeout, self._end_timeout = timeout, end_timeout
        self._context = context
        self._connections, self._enough_until = connections, 0.0
        self._sessions: list[Session] = []
        self._selector = selectors.DefaultSelector()

    def send(self, letters: Sequence[Letter]) -> list[Answer | None]:
        """Send letters; the answer to each, None where it was not tried.

        It begins no other letter after a second, nor once an answer was trouble, so that the caller can judge what is
        still worth trying.
        """
        turn = _Turn(letters)
        try:
            while turn.goes_on():
                self._open_for(len(turn.waiting))
                self._carry(turn)
        except OSError as error:  # no session could be opened
            turn.note(turn.waiting.popleft(), failure(error, "connect"))
        except BaseException:
            self._abandon()  # what was under way in them is not to be taken for answers to other letters
            raise
        return turn.answers

    def close(self) -> None:
        """End the sessions politely, if there are any."""
        while self._sessions:
            session = self._sessions[-1]
            self._forget(session)
            session.end()

    def _abandon(self) -> None:
        while self._sessions:
            session = self._sessions[-1]
            self._forget(session)
            session.close()

    def _carry(self, turn: "_Turn") -> None:
        """Keep every session busy until no letter is to be begun and all that were have their answers."""
        for session in list(self._sessions):
            self._occupy(session, turn)
        while deadline := min((session.deadline for session in self._sessions if session.awaits), default=0.0):
            heard = self._selector.select(max(0.0, deadline - time.monotonic()))
            # All of them are heard before any gets another letter: one of the answers may be trouble.
            for session in [key.data for key, _ in heard if self._is_free(key.data, turn)]:
                self._occupy(session, turn)
            if not heard:
                self._give_up_late_ones(turn)

    def _is_free(self, session: Session, turn: "_Turn") -> bool:
        """Hear what a session has to say; whether it can have another letter then."""
        if not session.awaits:  # it can only say that it ends
            self._forget(session)
            session.close()
            return False
        try:
            for place, answer in session.hear():
                turn.note(place, answer)
        except OSError as error:
            self._lose(session, error, turn)
            return False
        return not session.awaits

    def _occupy(self, session: Session, turn: "_Turn") -> None:
        """Give a session its next letter, if there is one."""
        try:
            place = turn.next(session) if session.pipelined or not session.text_is_due else None
            if place is not None:
                session.offer(place, turn.letters[place])
            elif session.text_is_due:
                session.finish()
        except OSError as error:
            self._lose(session, error, turn)

    def _give_up_late_ones(self, turn: "_Turn") -> None:
        now = time.monotonic()
        for session in list(self._sessions):
            if session.awaits and session.deadline <= now:
                self._lose(session, TimeoutError("timed out"), turn)

    def _lose(self, session: Session, error: OSError, turn: "_Turn") -> None:
        self._forget(session)
        session.close()
        for place, answer in session.left_behind(error):
            if answer is None:
                turn.waiting.appendleft(place)
            else:
                turn.note(place, answer)

    def _forget(self, session: Session) -> None:
        self._sessions.remove(session)
        self._selector.unregister(session.fileno)

    def _open_for(self, letters: int) -> None:
        """Have the sessions that so many letters are worth. Raises OSError where there is none and none can be opened.

        Nothing is under way meanwhile that a slow opening would hold up.
        """
        if not self._sessions:
            self._open(self._timeout)
        wanted = min(self._connections, -(-letters // _WORTH))
        if len(self._sessions) < wanted and time.monotonic() >= self._enough_until:
            try:
                while len(self._sessions) < wanted:
                    self._open(min(self._timeout, _OPENING))
            except OSError as error:
                log.warning("delivery: no more than %d sessions to the smart host: %s", len(self._sessions), error)
                self._enough_until = time.monotonic() + _ENOUGH

    def _open(self, opening: float) -> None:
        if self._tls != "none" and self._context is None:
            self._context = ssl.create_default_context()  # which reads all certificates that this machine trusts
        session = Session(
            host=self._host,
            port=self._port,
            name=self._name,
            opening=opening,
            timeout=self._timeout,
            end_timeout=self._end_timeout,
            context=self._context if self._tls == "tls" else None,
        )
        try:
            if self._context and (self._tls == "starttls" or (self._tls == "try" and session.offers_encryption())):
                session.encrypt(self._context)
            session.ehlo_or_helo_if_needed()
            if self._user:
                session.login(self._user, self._password)
        except OSError:
            session.close()
            raise
        self._sessions.append(session)
        self._selector.register(session.fileno, selectors.EVENT_READ, session)


class _Turn:
    """The letters of one `send`: which wait, and what was answered."""

    def __init__(self, letters: Sequence[Letter]) -> None:
        self.letters = letters
        self.answers: list[Answer | None] = [None] * len(letters)
        self.waiting = deque(range(len(letters)))
        self._until = 0.0  # no letter was begun yet
        self._trouble = False

    def goes_on(self) -> bool:
        """Whether another letter is to be begun."""
        return bool(self.waiting) and not self._trouble and (not self._until or time.monotonic() < self._until)

    def next(self, session: Session) -> int | None:
        """The place of the next letter that can be offered there; what cannot is answered at once."""
        while self.goes_on():
            self._until = self._until or time.monotonic() + _LONGEST
            place = self.waiting.popleft()
            objection = session.objection(self.letters[place])
            if objection is None:
                return place
            self.note(place, objection)
        return None

    def note(self, place: int, answer: Answer) -> None:
        """Keep an answer."""
        self.answers[place] = answer
        self._trouble = self._trouble or answer.trouble
