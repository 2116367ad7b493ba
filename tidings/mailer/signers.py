"""Processes that make RSA signatures while others are sent: OpenSSL's binding holds the interpreter meanwhile.

They know neither mail nor fields. A chunk of digests goes to a process as soon as it is full; what fills none, or is in
a chunk that no process has begun, is signed by whoever asks for it. So a site with a few members never starts one, and
the sender does its part where it would else wait.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

log = logging.getLogger(__name__)

_CHUNK = 25  # digests: some milliseconds of work, and less than a pipe holds, both ways
_MOST = 3  # processes: as many as one courier keeps busy
_DIGEST = hashes.SHA256.digest_size
_READY = b"."
_LENGTH = 4  # bytes that say how much follows


def sign(key: RSAPrivateKey, digest: bytes) -> bytes:
    """The signature over a SHA-256 digest, as rsa-sha256 has it (RFC 6376 3.3.2)."""
    return key.sign(digest, PKCS1v15(), Prehashed(hashes.SHA256()))


class Signers:
    """The processes of one key, started when they are first needed; safe to use from any thread."""

    def __init__(self, key: RSAPrivateKey, processes: int | None = None) -> None:
        """Without a number of `processes` there is one for each core, three at most, and on a single core none.

        Also for the sender's core: it is free while the sender waits for a signature, or for the smart host.
        """
        cores = len(os.sched_getaffinity(0))
        self._key = key
        self._count = (min(_MOST, cores) if cores > 1 else 0) if processes is None else processes
        self._waiting = _Chunk(key)
        self._lock = threading.Lock()
        self._mine = threading.local()  # the process of each thread of the pool
        self._started: list[_Process] = []
        self._pool: ThreadPoolExecutor | None = None

    def ahead(self, digest: bytes) -> Callable[[], bytes]:
        """Have a digest signed; what is returned waits for the signature."""
        if not self._count:
            return lambda: sign(self._key, digest)
        with self._lock:
            chunk = self._waiting
            place = chunk.add(digest)
            if place + 1 == _CHUNK:
                self._waiting = _Chunk(self._key)
                self._pool = self._pool or ThreadPoolExecutor(self._count, "sign", self._start)
                chunk.made = self._pool.submit(self._signed, chunk.digests)
        return lambda: chunk.signature(place)

    @property
    def processes(self) -> list[int]:
        """The ids of those that were started."""
        return [process.id for process in self._started]

    def close(self) -> None:
        """End the processes; what was asked for before is signed by whoever waits for it."""
        self._count = 0
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        while self._started:
            self._started.pop().end()

    def _start(self) -> None:
        """Give a thread of the pool its process."""
        self._mine.process = None
        try:
            self._mine.process = _Process(self._key)
            self._started.append(self._mine.process)
        except OSError as error:
            self._give_up(error)

    def _signed(self, digests: Sequence[bytes]) -> list[bytes]:
        """The signatures of a chunk, by this thread's process or, where that fails, by the thread."""
        try:
            if self._mine.process is not None:
                made: list[bytes] = self._mine.process.signatures(digests)
                return made
        except OSError as error:
            self._mine.process = None
            self._give_up(error)
        return [sign(self._key, digest) for digest in digests]

    def _give_up(self, error: OSError) -> None:
        log.warning("A process that signs failed, so that copies are signed one by one from now on: %s", error)
        self._count = 0


class _Chunk:
    """Digests that are signed together, once there are enough."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key
        self.digests: list[bytes] = []
        self.made: Future[list[bytes]] | None = None

    def add(self, digest: bytes) -> int:
        self.digests.append(digest)
        return len(self.digests) - 1

    def signature(self, place: int) -> bytes:
        if self.made is None or self.made.cancel():  # nobody has begun it
            return sign(self._key, self.digests[place])
        return self.made.result()[place]


class _Process:
    """One of them, as a thread of ours sees it."""

    def __init__(self, key: RSAPrivateKey) -> None:
        """Start it, and wait until it can sign. Raises OSError."""
        self._size = (key.key_size + 7) // 8
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tidings.mailer.signers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        # By its input: arguments are for all to see.
        self._write(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        self._read(len(_READY))

    @property
    def id(self) -> int:
        return self._process.pid

    def signatures(self, digests: Sequence[bytes]) -> list[bytes]:
        """The signatures, in the order of the digests. Raises OSError where it has died."""
        self._write(b"".join(digests))
        data = self._read(self._size * len(digests))
        return [data[at : at + self._size] for at in range(0, len(data), self._size)]

    def end(self) -> None:
        """End it."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(len(data).to_bytes(_LENGTH) + data)
        self._process.stdin.flush()

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise BrokenPipeError(f"it ended with status {self._process.wait()}")
        return data


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Read a key, then sign the digests of each chunk that follows, until there is no other."""
    # Whoever gave the key has checked it; that takes as long as fifty signatures.
    key = load_der_private_key(_read(source), password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    sink.write(_READY)
    sink.flush()
    while digests := _read(source):
        sink.write(b"".join(sign(key, digests[at : at + _DIGEST]) for at in range(0, len(digests), _DIGEST)))
        sink.flush()


def _read(source: BinaryIO) -> bytes:
    return source.read(int.from_bytes(source.read(_LENGTH)))


def main() -> None:
    """One of the processes: it ends when its input does, since an interrupt from the keyboard is meant for the site."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody is left to answer, nor to read why: the site was killed
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
