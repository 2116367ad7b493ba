"""Letters written to a Maildir, one file each, instead of being sent: a demo, a rehearsal, a site without a host.

It reads nothing there.
"""

import os
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tidings.mailer import compose
from tidings.mailer.smtp_session import Answer, Letter


class MaildirTransport:
    """Writes each letter to a file, with its envelope as fields on top."""

    _numbers = count(1)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, letters: Sequence[Letter]) -> list[Answer]:
        """Write each letter; it is on the disk before anyone can see it."""
        return [self._answer(letter) for letter in letters]

    def close(self) -> None:
        """Nothing is kept open."""

    def _answer(self, letter: Letter) -> Answer:
        try:
            envelope = [("Return-Path", f"<{letter.mail_from}>"), ("X-Envelope-To", letter.recipient)]
            names = [name for name, _ in envelope]
            self._write(compose.splice(letter.signature() + letter.head + letter.data, remove=names, add=envelope))
        except (OSError, ValueError) as error:
            return Answer(0, f"the Maildir cannot be written: {error}", "connect")
        return Answer(250, "written to the Maildir")

    def _write(self, data: bytes) -> None:
        for name in ("tmp", "new", "cur"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}.P{os.getpid()}Q{next(self._numbers)}.tidings"
        with (self._folder / "tmp" / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        (self._folder / "tmp" / name).rename(self._folder / "new" / name)
        new = os.open(self._folder / "new", os.O_RDONLY)
        try:
            os.fsync(new)
        finally:
            os.close(new)
