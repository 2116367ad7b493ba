"""Lives of `tidings serve` that begin at once and end at an exact system call, by strace.

`python -m tests.lives SOCKET CONFIG` is a process that has loaded the program. For each life it makes a copy of itself,
and strace takes hold of one of its threads: to load the program anew would take most of the time of thousands of lives.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.crashing import smtp_port
from tests.running import wait_until

_SET_PTRACER, _SET_CHILD_SUBREAPER, _ANY = 0x59616D61, 36, -1  # prctl(2)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The calls of one system call that are made by one thread of the program, which Python knows by this name."""

    thread: str
    call: str


class Cradle:
    """`with Cradle(config) as cradle:` is where lives of one site begin, one after the other."""

    def __init__(self, config: Path) -> None:
        self._config = config

    def __enter__(self) -> Self:
        self._wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line = [sys.executable, "-m", "tests.lives", str(theirs.fileno()), str(self._config)]
        self._process = subprocess.Popen(line, pass_fds=[theirs.fileno()])
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()
        self._process.wait(30)

    def watched(self, calls: Calls, log: Path) -> "BornLife":
        """A new life of which these calls are written down, a line each; the last life must be over."""
        return BornLife(self._wire, calls.thread, ("-o", str(log), "-e", f"trace={calls.call}"))

    def doomed(self, calls: Calls, number: int) -> "BornLife":
        """A new life that is killed instead of making the call with that number, counted from 1; or never."""
        inject = f"inject={calls.call}:signal=SIGKILL:when={number}"
        return BornLife(self._wire, calls.thread, ("-o", "/dev/null", "-e", f"trace={calls.call}", "-e", inject))


class BornLife:
    """One life, from its start to its end."""

    def __init__(self, wire: socket.socket, thread: str, strace: tuple[str, ...]) -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(wire, [json.dumps([thread, *strace]).encode()], [theirs.fileno()])
        theirs.close()
        self._said = ours.makefile("rb")
        ours.close()
        self._pid = int(wire.recv(100))
        self._status: int | None = None
        self._over = threading.Thread(target=self._await_end, args=(wire,), daemon=True)
        self._over.start()

    def _await_end(self, wire: socket.socket) -> None:
        self._status = int(wire.recv(100))

    def port(self) -> int | None:
        """The SMTP port, once the site is ready; None where it ends before."""
        line = self._said.readline()
        if not line:
            assert self.killed(), "it ended by itself"
            return None
        if not line.startswith(b"ready"):
            line += self._said.read()  # the whole of what it died of
        return smtp_port(line)

    def over(self) -> bool:
        """Whether it has ended, and all that it had started."""
        return not self._over.is_alive()

    def killed(self) -> bool:
        """Whether it was killed; it has ended then, and all that it had started."""
        self._over.join(60)
        assert self.over(), "a life without end"
        return self._status == -signal.SIGKILL

    def end(self) -> None:
        """Kill it, whatever its fate."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        assert self.killed()
        self._said.close()


# --- the process that lives begin in ----------------------------------------------------------------------------------


def _rear(wire: socket.socket, config: str) -> None:
    """Begin a life for each request, and tell its process id, then its exit status (negative: the signal)."""
    import tidings.cli
    import tidings.serving

    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
    while True:
        request, descriptors, _, _ = socket.recv_fds(wire, 100_000, 1)
        if not request:
            return
        life = os.fork()
        if life == 0:
            wire.close()
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[0], 2)
            os.close(descriptors[0])
            _watch(*json.loads(request))
            sys.argv = ["tidings", "-c", config, "serve"]
            tidings.cli.main()
            os._exit(0)
        os.close(descriptors[0])
        wire.send(b"%d" % life)
        wire.send(b"%d" % _end_of(life))


def _end_of(life: int) -> int:
    """The exit status of a life, once all of its processes, which are given to this one, have ended too."""
    status = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            process, how = os.wait()
            if process == life:
                status = os.waitstatus_to_exitcode(how)
    return status


def _watch(thread: str, *strace: str) -> None:
    """Let strace take hold of a thread, of the main one at once and of another as soon as there is one of that name."""
    ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_long(_ANY))
    line = ["strace", "-qq", *strace, "-p"]

    def hold_when_there() -> None:
        found: list[int] = []
        pause = threading.Event()
        while not found:
            found = [one.native_id for one in threading.enumerate() if one.name == thread and one.native_id]
            pause.wait(0.001)
        subprocess.Popen([*line, str(found[0])])

    if thread != threading.main_thread().name:
        threading.Thread(target=hold_when_there, daemon=True).start()
        return
    subprocess.Popen([*line, str(os.getpid())])
    wait_until(lambda: "\nTracerPid:\t0\n" not in Path("/proc/self/status").read_text(), "strace")


if __name__ == "__main__":
    _rear(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
