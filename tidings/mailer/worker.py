"""The parser in a process of its own that can be killed: bytes in, one frozen value out.

A message whose parsing hangs or grows costs the process its life and nothing else; the next message gets a new one. It
parses nothing itself (parse.py does) and keeps nothing.
"""

import contextlib
import logging
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import BinaryIO, Protocol

import msgspec

from tidings.errors import MessageTooComplexError
from tidings.mailer.parsed import ParsedMessage
from tidings.settings import LimitSettings

log = logging.getLogger(__name__)
_QUESTION = struct.Struct("!I?")  # how long the message is, and whether it may be a bounce
_LENGTH = struct.Struct("!I")
# Read and written at once. Each call gives way to the process's other threads, and takes a while to get its turn back.
_CHUNK = 1 << 16
_WALL_FACTOR = 6  # a busy machine gives a process less than a sixth of its time only when something is wrong


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """A message that passed a limit or broke the parser; it is to be kept and held, with this reason."""

    reason: str


class Readable(msgspec.Struct, frozen=True, tag=True):
    """A message that was parsed."""

    message: ParsedMessage


Outcome = Readable | Unreadable
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Outcome] = msgspec.msgpack.Decoder(Readable | Unreadable)


class _Parse(Protocol):
    def __call__(self, raw: bytes, limits: LimitSettings, *, bounce: bool) -> ParsedMessage: ...


class _DiedError(Exception):
    """The worker process is gone; the message says why."""


class ParseWorker:
    """A parser process, started when it is first needed and anew when it died; for one thread at a time."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._feeder: threading.Thread | None = None
        self._turn = threading.Lock()
        self._come = bytearray()  # of the answers, what nobody has taken yet

    def start(self) -> None:
        """Start the process now, so that it is ready by the time of the first message."""
        with self._turn:
            self._stdin()

    def parse(self, raw: bytes) -> ParsedMessage:
        """Read one message. Raises MessageTooComplexError where it passed a limit or broke the parser."""
        (outcome,) = self.parse_many([raw])
        if isinstance(outcome, Unreadable):
            raise MessageTooComplexError(outcome.reason)
        return outcome.message

    def parse_many(self, raws: Sequence[bytes], bounces: Collection[int] = ()) -> Iterator[Outcome]:
        """An outcome for each message, in their order; while the caller uses one the next is being parsed.

        Those whose positions are in `bounces` are read as bounces too.
        """
        asked = [(raw, position in bounces) for position, raw in enumerate(raws)]
        with self._turn:
            position = 0
            while position < len(asked):
                self._feeder = threading.Thread(target=_feed, args=(self._stdin(), asked[position:]), daemon=True)
                self._feeder.start()
                try:
                    for _ in asked[position:]:
                        outcome = self._read()
                        position += 1
                        yield outcome
                except _DiedError as error:
                    self._end()
                    position += 1
                    yield Unreadable(str(error))
                finally:
                    if position < len(asked) and self._process:
                        self._end()  # the caller stopped early: what is still in the pipe must not answer the next call
                self._feeder.join()

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end()

    def _stdin(self) -> BinaryIO:
        if self._process is None:
            limits = msgspec.json.encode(self._limits).decode()
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                [sys.executable, "-m", "tidings.mailer.worker", limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        assert self._process.stdin is not None
        return self._process.stdin  # type: ignore[return-value]

    def _read(self) -> Outcome:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return _decoder.decode(self._exactly(length))

    def _exactly(self, size: int) -> bytes:
        """So many bytes of the answers. Raises _DiedError where they do not come."""
        assert self._process is not None
        out = self._process.stdout
        assert out is not None
        while len(self._come) < size:
            # The pipe is unbuffered: select would not see what a buffer holds already.
            if not select.select([out], [], [], self._limits.parse_seconds * _WALL_FACTOR)[0]:
                raise _DiedError("The parser gave no answer for too long.")
            chunk = out.read(_CHUNK)
            if not chunk:
                code = self._process.wait()
                log.warning("The parser died with status %s on a message; it is held.", code)
                raise _DiedError(
                    f"The parser took more than {self._limits.parse_seconds} seconds or broke (status {code})."
                )
            self._come += chunk
        data = bytes(self._come[:size])
        del self._come[:size]
        return data

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        self._come.clear()
        process.kill()
        process.wait()
        if self._feeder is not None:
            # Nobody reads any more, so its write fails. A pipe closed under it could be another file by the next write.
            self._feeder.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _feed(pipe: BinaryIO, asked: Sequence[tuple[bytes, bool]]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the worker died: whoever reads its answers sees that
        for piece in _pieces(asked):
            left = memoryview(piece)
            while left:
                left = left[pipe.write(left) :]


def _pieces(asked: Sequence[tuple[bytes, bool]]) -> Iterator[bytes]:
    """What is written of the questions at once: small messages together, while a large one is not copied."""
    small: list[bytes] = []
    size = 0
    for raw, bounce in asked:
        small.append(_QUESTION.pack(len(raw), bounce))
        size += len(raw)
        if len(raw) < _CHUNK:
            small.append(raw)
        if size >= _CHUNK:
            yield b"".join(small)
            small, size = [], 0
        if len(raw) >= _CHUNK:
            yield raw
    if small:
        yield b"".join(small)


def _outcome(parse: _Parse, raw: bytes, limits: LimitSettings, bounce: bool) -> Outcome:
    try:
        return Readable(parse(raw, limits, bounce=bounce))
    except MessageTooComplexError as error:
        return Unreadable(str(error))
    except MemoryError:
        return Unreadable(f"The parser needed more than {limits.parse_megabytes} MB.")
    except Exception as error:
        return Unreadable(f"The parser failed on it: {type(error).__name__}: {error}"[:500])


def _allow_cpu(seconds: int) -> None:
    """Let the process be killed (SIGXCPU) when it has used so many CPU seconds more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def serve(source: BinaryIO, sink: BinaryIO, limits: LimitSettings) -> None:
    """Answer each message in `source` with its outcome, until it ends."""
    from tidings.mailer.parse import parse  # nobody but this process reads messages, so nobody else loads it

    while head := source.read(_QUESTION.size):
        length, bounce = _QUESTION.unpack(head)
        raw = source.read(length)
        _allow_cpu(limits.parse_seconds)
        answer = _encode(_outcome(parse, raw, limits, bounce))
        sink.write(_LENGTH.pack(len(answer)) + answer)
        sink.flush()


def main() -> None:
    """The worker's own process: limits as JSON in the first argument, messages on standard input."""
    limits = msgspec.json.decode(sys.argv[1], type=LimitSettings)
    memory = limits.parse_megabytes * 1_000_000
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody is left to answer, nor to read why: the site was killed
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    serve(sys.stdin.buffer, sys.stdout.buffer, limits)


if __name__ == "__main__":
    main()
