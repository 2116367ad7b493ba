"""A Postfix of one test's own: made from a few lines of main.cf, started on a free port, thrown away.

It shares nothing with a Postfix of the machine but the programs: settings, queue, caches and log are in a folder of its
own, nothing but a port of 127.0.0.1 is listened at, and it can send nothing but to the servers of the test.
"""

import contextlib
import os
import re
import shutil
import signal
import smtplib
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.running import wait_until
from tests.sockets import free_port

# Its master wants root, to start each part as a user who may do less.
NEEDS_ROOT = "Postfix can only be started by root"
_LIFETIME = 600  # seconds: it ends by itself when a killed test run does not end it
_PATIENCE = 10.0  # seconds to end by itself, once it is asked to
_QUEUES = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "maildrop",
    "saved",
    "trace",
)

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.example.org
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
smtpd_peername_lookup = no
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
flush unix n - n 1000? 0 flush
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`with Postfix(main=...) as postfix:` listens at 127.0.0.1:postfix.port; its files are in `postfix.folder`."""

    def __init__(self, *, main: str = "", master: str = "") -> None:
        self.port = free_port()
        # Not under pytest's own folder: its parts run as another user, who may not go there.
        self.folder = Path(tempfile.mkdtemp(prefix="tidings-postfix-"))
        self.folder.chmod(0o755)
        self._settings = self.folder / "etc"
        self._write(main, master)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._process = subprocess.Popen(
                [self._program("master"), "-d", "-c", self._settings, "-e", str(_LIFETIME)],
                cwd=self.folder / "queue",
                env={"PATH": os.environ.get("PATH", os.defpath), "MAIL_CONFIG": str(self._settings)},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
            wait_until(self._answers, "Postfix's greeting")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all of its processes and remove its files."""
        if self._process is not None:
            self._end(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            self._end(signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What it has logged."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def complaints(self) -> list[str]:
        """What it has logged of settings that it cannot use, or that it takes for mistakes."""
        return re.findall(r"(?:warning|error|fatal|panic): (?!dict_nis_init).*", self.log)

    def waiting(self) -> list[str]:
        """The files of mail that it has neither handed over nor given back."""
        found = [
            path for name in ("incoming", "active", "deferred") for path in (self.folder / "queue" / name).rglob("*")
        ]
        return [path.name for path in found if path.is_file()]

    def flush(self) -> None:
        """Let it try at once what waits for its next try."""
        subprocess.run(["/usr/sbin/postqueue", "-c", self._settings, "-f"], check=True)

    def smtp(self) -> smtplib.SMTP:
        """A client that is connected to it."""
        return smtplib.SMTP("127.0.0.1", self.port, "client.example.org", timeout=_PATIENCE)

    def _write(self, main: str, master: str) -> None:
        for name in (*_QUEUES, "private", "public"):
            (self.folder / "queue" / name).mkdir(parents=True)
            shutil.chown(self.folder / "queue" / name, "postfix")
        for name in ("queue/pid", "data", "etc"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        given = set(re.findall(r"^(\w+) *=", main, re.MULTILINE))
        usual = [line for line in _MAIN.format(folder=self.folder).splitlines() if line.split()[0] not in given]
        (self._settings / "main.cf").write_text("\n".join([*usual, main]), encoding="utf-8")
        (self._settings / "master.cf").write_text(_MASTER.format(port=self.port) + master, encoding="utf-8")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Postfix ended at once:\n{self.log}"
        try:
            self.smtp().close()
        except OSError:  # smtplib's own errors are some of these
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):  # its process group is gone
            os.killpg(self._process.pid, number)

    @staticmethod
    def _program(name: str) -> str:
        asked = subprocess.run(
            ["/usr/sbin/postconf", "-dh", "daemon_directory"], check=True, capture_output=True, text=True
        )
        return str(Path(asked.stdout.strip()) / name)
