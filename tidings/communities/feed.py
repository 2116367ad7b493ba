"""Fetches and reads one calendar in a process of its own that can be killed: an address or bytes in, shifts out.

A server that drips or a calendar that takes for ever costs that process its life and nothing else. It stores nothing
(calendars does) and reads nothing itself (ics does).
"""

import http.client
import resource
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import msgspec

from tidings.clock import zone
from tidings.communities.roster import OFF, Cycle, Span
from tidings.errors import UsageError

SIZE = 1_000_000
"""No calendar is longer, in bytes."""

_SECONDS = 30  # in all, with everything that a busy machine does beside
_LIFE = 60  # seconds after which the process ends by itself, where nobody is left to end it
_CPU_SECONDS = 5
_SILENCE = 10  # seconds that a server may say nothing
_MEMORY = 512_000_000
_ERROR_LENGTH = 300
_SCHEMES = ("http", "https")


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which calendar, by its URL or its bytes; how its times are read (a zone, the times of letters), and from when."""

    url: str = ""
    data: bytes = b""
    zone: str
    shifts: Mapping[str, tuple[str, str]]
    first_day: date


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The shifts of the calendar, by their start, and in words what was left out; or an error that says why not."""

    spans: tuple[Span, ...] = ()
    left_out: str = ""
    error: str = ""


def is_url(source: str) -> bool:
    """Whether that is the address of a feed, and no file."""
    return urlsplit(source).scheme.lower() in _SCHEMES


def ask(question: Question) -> Answer:
    """The answer of a process that lives for this question; whatever goes wrong is an error in it."""
    command = [sys.executable, "-m", "tidings.communities.feed"]
    try:
        ended = subprocess.run(  # noqa: S603  (our own module)
            command, input=msgspec.json.encode(question), capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(error=f"It was not there and read within {_SECONDS} seconds.")
    if ended.returncode != 0:
        return Answer(error="It takes too much time or memory to read.")
    return msgspec.json.decode(ended.stdout, type=Answer)


# --- within the process ----------------------------------------------------------------------------------------------


def answer(question: Question) -> Answer:
    """Fetch and read; whatever goes wrong is an error in the answer."""
    from tidings.communities import ics  # only the process pays for loading it

    try:
        raw = _fetch(question.url) if question.url else question.data
        times = Cycle(zone=zone(question.zone), shifts=question.shifts, cycle=OFF, start_date=question.first_day)
        found = ics.read(raw, times=times)
    except UsageError as error:
        return Answer(error=ics.plain(str(error), _ERROR_LENGTH))
    except Exception as error:  # what the libraries make of a hostile calendar
        return Answer(error=f"It cannot be read: {type(error).__name__}.")
    return Answer(spans=found.spans, left_out=found.left_out)


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to the web only: the library's own would also go to FTP."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows. Raises UsageError where it would leave the web."""
        if not is_url(newurl):
            raise UsageError("The server sends to an address that is neither http nor https.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(url: str) -> bytes:
    """The bytes at an http or https URL. Raises UsageError, with what the server or the network said."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _OnlyHttp,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "Tidings", "Accept": "text/calendar"})  # noqa: S310
    try:
        with opener.open(request, timeout=_SILENCE) as response:
            raw: bytes = response.read(SIZE + 1)
    except HTTPError as error:
        raise UsageError(f"The server answered {error.code} {error.reason}.") from error
    except URLError as error:
        raise UsageError(f"The server cannot be reached: {error.reason}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(f"The server broke off: {type(error).__name__}.") from error
    if len(raw) > SIZE:
        raise UsageError(f"It is longer than {SIZE // 1_000_000} MB.")
    return raw


def main() -> None:
    """The process: a question as JSON on standard input, the answer as JSON on standard output."""
    signal.alarm(_LIFE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
