"""Asks a language model, in a process of its own that can be killed: a question in, its words or an error out.

The model stands behind an OpenAI-compatible URL ("chat completions"). A server that hangs, drips or floods costs that
process its life and nothing else. What is asked, and what of the answer is used, is not decided here (prompt).
"""

import http.client
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from resource import RLIMIT_AS, setrlimit
from urllib.error import HTTPError, URLError

import msgspec

SIZE = 65_536
"""No answer is longer, in bytes."""

_PATH = "/chat/completions"
_MEMORY = 512_000_000
_LOOK = 0.25  # seconds between looks at whether its time is over
_LIFE = 90  # seconds after which the process ends by itself, where nobody is left to end it


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of which model; `url` is what its paths begin with, `key` is empty where it needs none."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    instructions: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model wrote, which may be nothing; or an error that says why it wrote none."""

    text: str = ""
    error: str = ""


def ask(question: Question, seconds: float, is_over: Callable[[], bool] = lambda: False) -> Answer:
    """The answer of a process that lives for this question, and for so many seconds; what goes wrong is an error.

    `is_over` may end it before, when nobody wants the answer any more.
    """
    until = time.monotonic() + seconds
    command = [sys.executable, "-m", "tidings.digests.model"]  # the key is in no argument
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            written = _heard(process, msgspec.json.encode(question), lambda: is_over() or time.monotonic() >= until)
        finally:
            process.kill()  # it lives no longer than that, whatever happened
    if written is None:
        return Answer(error=f"It did not answer within {seconds:g} seconds.")
    if process.returncode != 0:
        return Answer(error="Its answer takes too much memory to read.")
    return msgspec.json.decode(written, type=Answer)


def _heard(process: subprocess.Popen[bytes], sent: bytes | None, is_over: Callable[[], bool]) -> bytes | None:
    """What the process writes until it ends; None where its time is over before."""
    while True:
        try:
            return process.communicate(sent, timeout=_LOOK)[0]
        except subprocess.TimeoutExpired:
            sent = None  # it has begun to read
        if is_over():
            return None


# --- within the process ----------------------------------------------------------------------------------------------


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def answer(question: Question) -> Answer:
    """Ask and read; whatever goes wrong is an error in the answer, with nothing that the server wrote."""
    try:
        raw = _fetch(question)
    except HTTPError as error:
        return Answer(error=f"It answered {error.code} {http.client.responses.get(error.code, '')}".rstrip() + ".")
    except URLError as error:
        return Answer(error=f"It cannot be reached: {error.reason}.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(error=f"It broke off: {type(error).__name__}.")
    if len(raw) > SIZE:
        return Answer(error=f"Its answer is longer than {SIZE} bytes.")
    try:
        choices = msgspec.json.decode(raw, type=_Completion).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(error="It answered something else than a completion.")
    return Answer(text=(choices[0].message.content or "") if choices else "")


def _fetch(question: Question) -> bytes:
    """The body of its answer, up to a byte more than may be."""
    # No limit on tokens is asked for, and no temperature: some models refuse the one name of it, some the other.
    messages = [
        {"role": "system", "content": question.instructions},
        {"role": "user", "content": question.text},
    ]
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Tidings"}
    if question.key:
        headers["Authorization"] = f"Bearer {question.key}"
    request = urllib.request.Request(  # noqa: S310  (settings allow https, and http to this machine)
        question.url.rstrip("/") + _PATH,
        data=msgspec.json.encode({"model": question.model, "messages": messages}),
        headers=headers,
    )
    with _opener(request.type).open(request) as response:
        raw: bytes = response.read(SIZE + 1)
        return raw


def _opener(scheme: str) -> urllib.request.OpenerDirector:
    """Opens what is at a URL, checks certificates and follows no redirect: words and key are for that server alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        # What goes to this machine, in the clear, goes through no proxy.
        urllib.request.ProxyHandler({} if scheme == "http" else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def main() -> None:
    """The process: a question as JSON on standard input, the answer as JSON on standard output."""
    signal.alarm(_LIFE)
    setrlimit(RLIMIT_AS, (_MEMORY, _MEMORY))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
