"""How fast mail is taken, archived, shown and sent: by real processes, each checked for what was lost or doubled.

What is wanted of a figure is not its matter.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from benchmarks import queue
from benchmarks.load import Load, Mail
from benchmarks.mail import LIST, Made, authors
from benchmarks.served import Archive, Memory, Served
from benchmarks.sink import Sink
from tidings.database.tables import delivery

EACH = 5  # members who get each post
_PATIENCE = 120.0  # seconds until what never comes fails a measure


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure: how many of what in how many seconds, the CPU of each process, and what went wrong."""

    count: int
    seconds: float
    cpu: dict[str, float]  # seconds, by process
    wrong: tuple[str, ...] = ()
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """So many a second."""
        return self.count / self.seconds


def accept(messages: Sequence[Made], folder: Path, connections: int = 20) -> Measured:
    """A burst of mail to a site that archives and delivers behind it: from the first MAIL to the last 250."""
    with Sink() as sink, _site(folder, sink) as served:
        before = served.cpu()
        load = Load(served.smtp, connections, _mails(messages), folder)
        result = load.result()
        server = served.cpu() - before
        wrong = _refused(result, len(messages))
        waiting = served.archive().waiting
        _until(lambda: served.archive().waiting == 0, "an empty spool")
        _until(lambda: sink.ask()["recipients"] >= EACH * len(messages), "every copy")
        drained = time.monotonic() - result["ended"]
        wrong += _archive_is_whole(served.archive, len(messages)) + _copies(sink, len(messages), EACH)
    extra = {key: result[key] * 1000 for key in ("p50", "p99")} | {"waiting": waiting, "drained": drained}
    cpu = {"serve": server, "client": result["cpu"]}
    return Measured(
        count=len(messages), seconds=result["ended"] - result["began"], cpu=cpu, wrong=tuple(wrong), extra=extra
    )


def end_to_end(
    messages: Sequence[Made], folder: Path, connections: int = 4, posting: str = "members"
) -> tuple[Measured, Memory]:
    """From the first MAIL until every message is archived, shown, found, and was delivered to five members."""
    with Sink() as sink, _site(folder, sink, posting) as served:
        before, sink_before = served.cpu(), sink.ask()["cpu"]
        load = Load(served.smtp, connections, _mails(messages), folder)
        result = load.result()
        pages = Pages(served)
        # The last of each connection: whatever came last is among them.
        for made in messages[-connections:]:
            _until(partial(pages.shows, made), "the page of the last message")
            _until(partial(pages.finds, made), "the last message in a search")
        seen = time.monotonic()
        _until(lambda: sink.ask()["recipients"] >= EACH * len(messages), "every copy")
        ended = max(seen, sink.ask()["last"])
        cpu = {"serve": served.cpu() - before, "client": result["cpu"], "sink": sink.ask()["cpu"] - sink_before}
        pages.close()
        wrong = _refused(result, len(messages))
        wrong += _archive_is_whole(served.archive, len(messages)) + _copies(sink, len(messages), EACH)
        memory = served.memory()
    extra = {"accepted": len(messages) / (result["ended"] - result["began"]), "seen": seen - result["began"]}
    measured = Measured(count=len(messages), seconds=ended - result["began"], cpu=cpu, wrong=tuple(wrong), extra=extra)
    return measured, memory


def fan_out(
    messages: Sequence[Made], members: int, folder: Path, connections: int, key: str = ""
) -> tuple[Measured, Memory]:
    """Posts to many members, each copy with a return path and a link of its own: from the first MAIL to the last copy.

    Also what the server has in memory at its end. `key` is the file of one that signs each copy.
    """
    with Sink() as sink, _site(folder, sink, each=members, connections=connections, key=key) as served:
        before, sink_before = served.cpu(), sink.ask()["cpu"]
        result = Load(served.smtp, 1, _mails(messages), folder).result()
        _until(lambda: sink.ask()["recipients"] >= members * len(messages), "every copy", pause=0.2)
        taken = sink.ask()
        cpu = {"serve": served.cpu() - before, "client": result["cpu"], "sink": taken["cpu"] - sink_before}
        memory = served.memory()
        wrong = _refused(result, len(messages)) + _copies(sink, len(messages), members)
        wrong += _archive_is_whole(served.archive, len(messages), copies=members * len(messages))
        apart = sink.ask("all")
        for what, found, wanted in (
            ("return paths", apart["paths"], members * len(messages)),
            ("links to leave by", apart["links"], members),
        ):
            wrong += [] if found == wanted else [f"{found} different {what}, not {wanted}"]
    seconds = taken["last"] - result["began"]
    return Measured(count=members * len(messages), seconds=seconds, cpu=cpu, wrong=tuple(wrong)), memory


def memory_of_many(message: Made, members: int, folder: Path, connections: int) -> tuple[Measured, float, list[str]]:
    """One post to very many members: the rate, by how many MB (PSS) memory grows meanwhile, and what went wrong."""
    with Sink() as sink:
        served = Served(folder, sink.port, connections=connections)
        served.add_members(authors(), "none")
        served.add_many(members)
        with served:
            before = most = served.memory().pss
            result = Load(served.smtp, 1, _mails([message]), folder).result()
            end = time.monotonic() + 10 * _PATIENCE
            while sink.ask()["recipients"] < members and time.monotonic() < end:
                most = max(most, served.memory().pss)
                time.sleep(0.2)
            taken = sink.ask("all")
            wrong = [] if taken["different"] == members else [f"{taken['different']} of {members} copies came"]
            wrong += [f"{taken['twice']} copies came twice"] if taken["twice"] else []
    measured = Measured(count=members, seconds=taken["last"] - result["began"], cpu={}, wrong=tuple(wrong))
    return measured, most - before, wrong


def restart(message: Made, waiting: int, folder: Path, connections: int) -> tuple[float, float]:
    """Seconds from the start of the program to the first copy taken, where so many have waited since it ended.

    And the CPU seconds of its processes meanwhile.
    """
    with Sink() as sink:
        served = Served(folder, sink.port, connections=connections)
        served.add_members(authors(), "none")
        served.add_many(1)
        with served:
            Load(served.smtp, 1, _mails([message]), folder).result()
            _until(lambda: sink.ask()["recipients"] == 1, "the first copy")
        with served.site.database.read() as connection:
            reader = connection.execute(select(delivery.c.membership_id)).scalar_one()
        queue.fill(served.site.database, waiting, reader)
        served.close()
        began = time.monotonic()
        with served:
            _until(lambda: sink.ask()["recipients"] > 1, "a copy after the restart")
            return time.monotonic() - began, served.cpu()


def importing(mbox: Path, count: int, folder: Path) -> Measured:
    """`tidings import` of an mbox into a new site, index and all; the start of the program counts."""
    served = Served(folder)
    seconds, cpu = _run(served, "import", "bench", mbox)
    wrong = _archive_is_whole(served.archive, count, copies=0)
    served.close()
    return Measured(count=count, seconds=seconds, cpu={"import and its parser": cpu}, wrong=tuple(wrong))


def import_into(served: Served, mbox: Path) -> None:
    """Run `tidings import` on a site."""
    _run(served, "import", "bench", mbox)


def rebuilding(served: Served, count: int) -> Measured:
    """`tidings rebuild threads` of so many posts, from the start of the program to its end."""
    seconds, cpu = _run(served, "rebuild", "threads")
    wrong = _archive_is_whole(served.archive, count, copies=0)
    return Measured(count=count, seconds=seconds, cpu={"rebuild": cpu}, wrong=tuple(wrong))


def _run(served: Served, *arguments: object) -> tuple[float, float]:
    """Run a command on a site; seconds, and CPU seconds of it and of its parser."""
    began, before = time.monotonic(), getrusage(RUSAGE_CHILDREN)
    subprocess.run(served.command(*arguments), check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.monotonic() - began, getrusage(RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def reading(served: Served, messages: Sequence[Made], words: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each page over one kept connection, sorted: a thread, a search, the list of threads."""
    pages = Pages(served)
    paths = {
        "thread page": [_post(made) for made in messages[:rounds]],
        "search": [f"/c/bench/search?q={quote(word)}" for word in words[:rounds]],
        "list of threads": ["/c/bench/"] * (rounds // 5),
    }
    times: dict[str, list[float]] = {}
    for what, those in paths.items():
        for path in those[:20]:
            pages.get(path)  # what is slow once only is not what is measured
        times[what] = sorted(pages.timed(path) for path in those)
    pages.close()
    return times


class Pages:
    """A reader who is signed in, over one connection that is kept."""

    def __init__(self, served: Served) -> None:
        self._connection = HTTPConnection("127.0.0.1", served.web, timeout=60)
        self._headers = {"Cookie": f"tidings={served.session}"}

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and text of a page."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def timed(self, path: str) -> float:
        """Milliseconds until a page is read. Raises RuntimeError where it is not 200."""
        began = time.perf_counter()
        status, _ = self.get(path)
        milliseconds = (time.perf_counter() - began) * 1000
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
        return milliseconds

    def shows(self, made: Made) -> bool:
        """Whether the message's page is there, with its text."""
        status, text = self.get(_post(made))
        return status == 200 and made.mark.encode() in text

    def finds(self, made: Made) -> bool:
        """Whether a search for the word that only this message has finds it."""
        status, text = self.get(f"/c/bench/search?q={made.mark}")
        return status == 200 and quote(made.message_id, safe="@").encode() in text

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _post(made: Made) -> str:
    return f"/c/bench/m/{quote(made.message_id, safe='@')}/"


def _site(
    folder: Path, sink: Sink, posting: str = "members", each: int = EACH, connections: int = 2, key: str = ""
) -> Served:
    served = Served(folder, sink.port, posting=posting, connections=connections, key=key)
    served.add_members(authors(), "none")
    served.add_members([f"reader{number}@example.org" for number in range(each)], "each")
    return served


def _mails(messages: Sequence[Made]) -> list[Mail]:
    return [(made.author, [LIST], made.raw) for made in messages]


def _until(condition: Callable[[], bool], what: str, pause: float = 0.05) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"never came: {what}")
        time.sleep(pause)


def _refused(result: dict[str, Any], count: int) -> list[str]:
    taken = sum(many for reply, many in result["replies"].items() if reply.startswith("250"))
    return [] if taken == count else [f"{count - taken} messages were refused"]


def _archive_is_whole(archive: Callable[[], Archive], count: int, copies: int | None = None) -> list[str]:
    """What is lost, doubled or half of `count` messages, of which all are archived by now."""
    copies = EACH * count if copies is None else copies
    _until(lambda: archive().sent == copies, "the record of every copy")
    there = archive()
    found = {
        "posts": (there.posts, count),
        "different posts": (there.different, count),
        "posts in threads": (there.nodes, count),
        "posts in the index": (there.indexed, count),
        "deliveries": (there.deliveries, copies),
        "messages left in the spool": (there.waiting, 0),
    }
    return [f"{is_there} {what}, not {wanted}" for what, (is_there, wanted) in found.items() if is_there != wanted]


def _copies(sink: Sink, messages: int, members: int) -> list[str]:
    taken = sink.ask("all")
    wrong = [] if taken["different"] == messages * members else [f"{taken['different']} different copies came"]
    return wrong + ([f"{taken['twice']} copies came twice"] if taken["twice"] else [])
