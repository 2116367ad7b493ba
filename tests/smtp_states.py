"""The order of SMTP commands as a small model, and random talks that hold the listener to it.

A talk is sent in one piece, since the model says which of its DATA is followed by a message.
"""

import random
from dataclasses import dataclass

from tests.raw_smtp import OPEN, Listening, Wire, mail
from tidings.database.engine import Database

_TALKS_AT_A_TIME = 50
_MESSAGE = mail(body="x").decode() + ".\r\n"


@dataclass
class Model:
    """What a connection has come to."""

    lmtp: bool
    greeted: bool = False
    extended: bool = False
    sender: bool = False
    recipients: int = 0
    taken: int = 0

    def answer(self, command: str) -> list[str]:
        """The codes of the replies to a command, which may be followed by a message."""
        verb = command[:4]
        if verb in ("EHLO", "HELO", "LHLO"):
            if (verb == "LHLO") is not self.lmtp:
                return ["500"]
            self.greeted, self.extended = True, verb != "HELO"
            self._reset()
            return ["250"]
        if verb == "RSET":
            self._reset()
            return ["250"]
        if verb == "MAIL":
            if self.greeted and not self.extended and "SIZE" in command:
                return ["501"]
            good = self.greeted and not self.sender
            self.sender |= good
            return ["250" if good else "503"]
        if verb == "RCPT":
            if not self.greeted or not self.sender:
                return ["503"]
            known = OPEN in command
            self.recipients += known
            return ["250" if known else "550"]
        return self._data() if verb == "DATA" else {"NOOP": ["250"], "AUTH": ["503"], "VRFY": ["252"]}[verb]

    def _data(self) -> list[str]:
        if not self.recipients:
            return ["503"]
        replies = ["354", *["250"] * (self.recipients if self.lmtp else 1)]
        self.taken += 1
        self._reset()
        return replies

    def _reset(self) -> None:
        self.sender = False
        self.recipients = 0


_COMMANDS = (
    *("MAIL FROM:<ana@example.org>", f"RCPT TO:<{OPEN}>", "DATA") * 4,
    "MAIL FROM:<> SIZE=100",
    "RCPT TO:<nosuch@lists.example.org>",
    *("EHLO x", "HELO x", "LHLO x", "RSET", "NOOP", "AUTH PLAIN AGEAYg==", "VRFY <a@b>"),
)


def random_talks(database: Database, protocol: str, seed: int, talks: int) -> int:
    """Hold so many talks of about a dozen commands; the number of commands that were sent."""
    chance = random.Random(seed)
    sent = taken = 0
    many = 10**9
    with Listening(database, protocol=protocol, max_errors=many, max_idle_commands=many) as running:
        for _ in range(0, talks, _TALKS_AT_A_TIME):
            with running.wire() as wire:
                wire.reply()
                commands, model = _talk(wire, chance, lmtp=protocol == "lmtp")
            sent += commands
            taken += model.taken
            assert len(running.spooled()) == min(taken, 1_000)
            running.spool.done([one.key for one in running.spooled()])
            taken = 0
    return sent


def _talk(wire: Wire, chance: random.Random, *, lmtp: bool) -> tuple[int, Model]:
    model = Model(lmtp=lmtp)
    commands = chance.choices(_COMMANDS, k=12 * _TALKS_AT_A_TIME)
    wanted = [model.answer(command) for command in commands]
    both = list(zip(commands, wanted, strict=True))
    wire.send("".join(f"{one}\r\n{_MESSAGE * (codes[0] == '354')}" for one, codes in both).encode())
    for number, codes in enumerate(wanted):
        found = [wire.reply()[:3] for _ in codes]
        assert found == codes, f"{commands[max(0, number - 12) : number + 1]} was answered {found}, not {codes}"
    return len(commands), model
