"""Speed and memory beside the machine's own limits, measured in the same run: `make bench`, `python -m benchmarks.run`.

A figure of a run that lost or doubled anything is no figure: it is printed as failed. What each means stands in
docs/benchmarks.md. Exit status 1 where a figure is not as wanted.
"""

import argparse
import contextlib
import gzip
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import due, editions, limits, million, quality_lists, queue, speed, year
from benchmarks.mail import Made, as_mbox, authors, plain, real, threaded
from benchmarks.report import Figure, conclude, print_table, write_markdown
from benchmarks.served import Memory, Served
from benchmarks.sink import Sink
from tests.postgres import Postgres
from tests.programs import program

WANTED_ACCEPT = 1_000  # messages a second
WANTED_END_TO_END = 200
WANTED_FAN_OUT = 0.6  # of what a bare client reaches
WANTED_SIGNED = 0.7  # of what one OpenSSL signature a copy allows
WANTED_QUEUED = 3.0  # seconds for a post to 100,000
WANTED_MORE = 50  # MB while it is sent
WANTED_DUE = 50  # milliseconds
WANTED_EDITIONS = 500  # a second
WANTED_EDITIONS_MEMORY = 300  # MB, of composing and assembling
WANTED_YEAR = 300  # seconds to play a year of linux-raid
WANTED_PART = 80_000  # bytes of an HTML part
WANTED_RESTART = 10.0  # seconds to the first copy with a million waiting
WANTED_STEADY = 1.2  # what a copy costs with a million waiting, beside a thousand
WANTED_IMPORT = {"linux-raid-2020": 400, "usrp-users-2021": 200}  # messages a second
WANTED_REBUILD = 5_000
WANTED_PAGE = 5.0  # milliseconds, the median
WANTED_PAGES = ("thread page", "search")
WANTED_MEMORY = 200  # MB
WANTED_GROWTH = 1.3  # the cost of the next message beside that of the 1,000th
WANTED_SPACE = 2.0  # store and index beside the raw bytes
WANTED_CHECK = 600  # seconds for a million
WANTED_LARGE = {  # milliseconds, the 95th percentile
    "thread page": 20.0,
    "list of threads, newest": 200.0,
    "list of threads, anywhere": 200.0,
    "search": 100.0,
}

COMMITS = "fsynced commits of one row/s"
PARSES = "compat32 parses/s"
BARE_SERVER = "4 kB messages/s into an aiosmtpd that stores nothing"
SIGNATURES = "RSA-2048 signatures/s by OpenSSL"
BARE_CLIENT = "recipients/s from a bare client, {} a message"
BARE_FAN_OUT = "recipients/s from a bare client on 4 connections, the same copies"
_CORES = 2  # of the machine that the figures are wanted on
_CONNECTIONS = 4


class Run:
    """One run: its options, the limits of the machine as they were measured, and what was found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.figures: list[Figure] = []
        self.limits: dict[str, float] = {}
        self.raw: dict[str, Any] = {}

    def add(self, of: str, what: str, value: str, wanted: str = "", ok: bool | None = None) -> None:
        """Keep a figure."""
        self.figures.append(Figure(of=of, what=what, value=value, wanted=wanted, ok=ok))

    def rate(self, of: str, unit: str, measured: speed.Measured, wanted: float, *beside: str) -> None:
        """Keep a rate, its CPU, and its ratio to some limits of the machine."""
        self.raw[of] = {"rate": measured.rate, "seconds": measured.seconds, "cpu": measured.cpu, **measured.extra}
        if measured.wrong:
            self.add(of, unit, f"NO FIGURE: {'; '.join(measured.wrong)}", f">= {wanted:,.0f}", ok=False)
            return
        self.add(of, unit, f"{measured.rate:,.0f}", f">= {wanted:,.0f}" if wanted else "", self._ok(measured, wanted))
        each = {name: seconds / measured.count * 1000 for name, seconds in measured.cpu.items()}
        self.add(of, "CPU ms each", ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in each.items()))
        for name in beside:
            if name in self.limits:
                self.add(of, f"of the limit: {name}", f"{measured.rate / self.limits[name]:.1%}")

    @staticmethod
    def _ok(measured: speed.Measured, wanted: float) -> bool | None:
        return measured.rate >= wanted if wanted else None

    def memory(self, of: str, memory: Memory) -> None:
        """Keep what the processes had in memory."""
        self.raw[f"memory {of}"] = {"pss": memory.pss, "rss": memory.rss}
        value = f"PSS {memory.pss:.0f}, RSS {memory.rss:.0f}"
        self.add(of, "MB of all processes of serve", value, f"PSS < {WANTED_MEMORY}", memory.pss < WANTED_MEMORY)

    def limit(self, name: str, value: float) -> None:
        """Keep a limit of the machine."""
        self.limits[name] = self.raw.setdefault("limits", {})[name] = value
        self.add("this machine", name, f"{value:,.0f}")


def measure_limits(run: Run, folder: Path) -> None:
    """What programs that do nothing else reach."""
    messages = list(threaded(run.options.messages))
    run.limit(COMMITS, limits.commits(folder))
    run.limit(PARSES, limits.parsing([made.raw for made in messages]))
    four_kb = [(made.author, ["reader@example.org"], made.raw) for made in plain(5_000, 4_096)]
    run.limit(BARE_SERVER, limits.accepting(four_kb, 20, folder))
    for recipients in (1, speed.EACH, 100):
        readers = [f"reader{number}@example.org" for number in range(recipients)]
        mails = [(made.author, readers, made.raw) for made in messages[: 20_000 // recipients]]
        run.limit(BARE_CLIENT.format(recipients), limits.sending(mails, 2, folder))


def measure_accept(run: Run, folder: Path) -> None:
    """A burst of 4 kB messages over 20 connections."""
    measured = speed.accept(list(plain(run.options.burst, 4_096, seed=2)), folder)
    run.rate("accept", "messages/s of 4 kB, 20 connections", measured, WANTED_ACCEPT, BARE_SERVER, COMMITS)
    p50, p99, waiting, drained = (measured.extra[key] for key in ("p50", "p99", "waiting", "drained"))
    run.add("accept", "ms from the final dot to 250", f"p50 {p50:.1f}, p99 {p99:.1f}")
    run.add("accept", "behind it, at its end", f"{waiting:,.0f} wait; all archived and delivered {drained:.1f} s later")


def measure_end_to_end(run: Run, folder: Path) -> None:
    """Threaded mail over 4 connections, to five members; on real mail too where there is a corpus."""
    _end_to_end(run, "end to end", list(threaded(run.options.messages, seed=3)), folder / "made")
    if run.options.corpus:
        raws = [raw for _, path, _ in quality_lists.lists(run.options.corpus) for raw in _raws(path)]
        chosen = random.Random(4).sample(raws, len(raws))
        _end_to_end(run, "end to end, real mail", list(real(chosen, run.options.messages)), folder / "real", "open")


def _end_to_end(run: Run, of: str, messages: Sequence[Made], folder: Path, posting: str = "members") -> None:
    measured, memory = speed.end_to_end(messages, folder, posting=posting)
    size = statistics.mean(len(made.raw) for made in messages)
    run.limit(f"{PARSES}, {of}", limits.parsing([made.raw for made in messages]))
    unit = f"messages/s of {size / 1000:.1f} kB, 4 connections"
    run.rate(of, unit, measured, WANTED_END_TO_END, f"{PARSES}, {of}", COMMITS)
    run.add(of, "accepted messages/s meanwhile", f"{measured.extra['accepted']:,.0f}")
    run.memory(of, memory)


def measure_import(run: Run, folder: Path) -> None:
    """Made-up mail, and the lists of a corpus where there is one."""
    made = list(threaded(run.options.messages, seed=5))
    mbox = folder / "made.mbox.gz"
    mbox.write_bytes(gzip.compress(as_mbox(made), 1))
    sources = {"made up": mbox}
    if run.options.corpus:
        sources |= {name: path for name, path, _ in quality_lists.lists(run.options.corpus)}
    for name, path in sources.items():
        raws = _raws(path)
        run.limit(f"{PARSES}, {name}", limits.parsing(raws))
        measured = speed.importing(path, len(raws), folder / name)
        unit = f"messages/s of {statistics.mean(map(len, raws)) / 1000:.1f} kB, with index"
        run.rate(f"import {name}", unit, measured, WANTED_IMPORT.get(name, 0), f"{PARSES}, {name}")


def measure_fan_out(run: Run, folder: Path) -> None:
    """20 posts to 1,000 members on 4 connections, between two runs of a bare client that sends the same copies."""
    posts = list(plain(20, 4_096, seed=6))
    copies = limits.personal(posts, 1_000)
    bare = [limits.sending(copies, _CONNECTIONS, folder)]
    measured, memory = speed.fan_out(posts, 1_000, folder, _CONNECTIONS)
    bare.append(limits.sending(copies, _CONNECTIONS, folder))
    run.limit(BARE_FAN_OUT, statistics.mean(bare))
    unit = "recipients/s, 20 posts to 1,000 members, each with their own return path and link"
    run.rate("fan-out", unit, measured, WANTED_FAN_OUT * statistics.mean(bare), BARE_FAN_OUT)
    run.memory("fan-out", memory)


def measure_signed(run: Run, folder: Path) -> None:
    """The same fan-out with a DKIM signature of its own in each copy."""
    queue.write_key(folder / "dkim.pem")
    before = queue.signatures()
    posts = list(plain(20, 4_096, seed=6))
    measured, _ = speed.fan_out(posts, 1_000, folder / "site", _CONNECTIONS, key=str(folder / "dkim.pem"))
    run.limit(SIGNATURES, statistics.mean((before, queue.signatures())))
    run.rate("fan-out, signed", "recipients/s", measured, WANTED_SIGNED * run.limits[SIGNATURES], SIGNATURES)


def measure_queue(run: Run, folder: Path) -> None:
    """What a copy costs with few and with very many waiting, how soon a start sends one, and a post to 100,000."""
    few, many = queue.costs(folder, 1_000, 1_000_000)
    value = f"{few:.0f} us with 1,000 waiting, {many:.0f} with 1,000,000: {many / few:.2f} times"
    run.add("queue", "CPU for a copy, claimed and recorded", value, "<= 1.2", many / few <= WANTED_STEADY)
    seconds = queue.queuing(folder / "queuing", 100_000)
    run.add("queue", "seconds to queue a post to 100,000", f"{seconds:.2f}", "< 3", seconds < WANTED_QUEUED)
    if program("postgres"):
        server = Postgres()
        with contextlib.ExitStack() as stack:
            stack.callback(server.stop)
            seconds = queue.queuing(folder / "postgres", 100_000, stack.enter_context(server.database()))
        run.add("queue", "the same on PostgreSQL", f"{seconds:.2f}", "< 3", seconds < WANTED_QUEUED)
    (post,) = plain(1, 4_096, seed=8)
    (_, cpu_of_few), (seconds, cpu) = (
        speed.restart(post, waiting, folder / f"restart-{waiting}", _CONNECTIONS) for waiting in (1_000, 1_000_000)
    )
    value = f"{seconds:.2f}, {cpu:.2f} of CPU; with 1,000 waiting {cpu_of_few:.2f} of CPU"
    what = "seconds from the start to the first copy, 1,000,000 waiting"
    run.add("queue", what, value, f"<= {WANTED_RESTART:.0f}", seconds <= WANTED_RESTART)
    measured, growth, _ = speed.memory_of_many(post, 100_000, folder / "many", _CONNECTIONS)
    run.rate("queue, a post to 100,000", "recipients/s", measured, 0)
    run.add("queue, a post to 100,000", "MB that memory grows", f"{growth:.0f}", "< 50", growth < WANTED_MORE)


def measure_due(run: Run, folder: Path) -> None:
    """Who is due among a million sections that wait, and the periods of ten communities with 10,000 members each."""
    found = due.finding(folder / "finding")
    times = {"none": found.none, "a thousand": found.few, "all": found.all, "all, half of them passed": found.behind}
    for what, milliseconds in times.items():
        of = f"ms to find 500 of {found.waiting:,} waiting, due: {what}"
        run.add("due", of, f"{milliseconds:.2f}", f"< {WANTED_DUE}", milliseconds < WANTED_DUE)
    planned = due.planning(folder / "planning")
    for what, seconds in {"make their periods": planned.made, "plan them anew": planned.planned}.items():
        each = f"{seconds:.1f}: {seconds / planned.sections * 1e6:.0f} us a section"
        run.add("due", f"s of CPU for {planned.sections:,} sections to {what}", each)


def measure_editions(run: Run, folder: Path) -> None:
    """An edition of ten communities to each of 10,000 people: composed and stored, then assembled as text and HTML."""
    made = editions.measure(folder, [one.raw for one in threaded(run.options.messages)])
    for what, step in {"composed": made.composing, "assembled": made.assembling}.items():
        value = f"{step.milliseconds:.2f} ms, as much as {step.parses:.1f} compat32 parses"
        run.add("editions", f"CPU of an edition that is {what}", value)
    both = (made.composing.milliseconds + made.assembling.milliseconds) / 1000
    rate = _CORES / both
    run.limit(f"{PARSES}, of CPU, editions", (made.composing.parses + made.assembling.parses) / both)
    run.add(
        "editions", f"both, a second on {_CORES} cores", f"{rate:.0f}", f">= {WANTED_EDITIONS}", rate >= WANTED_EDITIONS
    )
    memory = made.memory / 1_000_000
    run.add(
        "editions",
        "MB of memory at the most",
        f"{memory:.0f}",
        f"< {WANTED_EDITIONS_MEMORY}",
        memory < WANTED_EDITIONS_MEMORY,
    )
    run.add("editions", "bytes of a mail on average", f"{made.size:,}")


def measure_year(run: Run, folder: Path) -> None:
    """A year of a list to four DuPont crews of ten: every member is told every post in one way, and once."""
    if not run.options.corpus:
        run.add("year", "not played", "name a folder with --corpus")
        return
    source = run.options.corpus / "lists" / "linux-raid-2020.mbox.gz"
    played = year.play(source, folder)
    of = f"a year of {source.name.partition('.')[0]}"
    value = f"{played.seconds:.0f}, {played.cpu:.0f} of CPU; {played.posts:,} posts, {played.mails:,} mails"
    run.add(
        of,
        f"seconds to play {year.WEEKS} weeks and {year.AFTER} behind them",
        value,
        f"< {WANTED_YEAR}",
        played.seconds < WANTED_YEAR,
    )
    value = f"{played.told:,} in an item, {played.counted:,} counted, {played.muted:,} muted"
    value += "".join(f"; {wrong}" for wrong in played.wrong[:5])
    right = not played.wrong and played.told + played.counted + played.muted == played.posts * played.members
    run.add(of, "each post once to each member", value, f"{played.posts * played.members:,}, each once", right)
    longest = f"{played.longest:,}"
    run.add(of, "bytes of the longest HTML part", longest, f"<= {WANTED_PART:,}", played.longest <= WANTED_PART)
    run.add(of, "findings of digest lint", f"{played.findings}", "0", played.findings == 0)


def measure_pages(run: Run, folder: Path) -> None:
    """Pages of an archive of 5,000 messages in about 950 threads."""
    chance = random.Random(7)
    made = list(threaded(5_000, seed=7))
    mbox = folder / "pages.mbox"
    mbox.write_bytes(as_mbox(made))
    with Sink() as sink:
        served = Served(folder / "site", sink.port)
        speed.import_into(served, mbox)
        rebuilt = speed.rebuilding(served, len(made))
        with served:
            words = [_query(chance, made) for _ in range(1_000)]
            times = speed.reading(served, chance.sample(made, 1_000), words, rounds=1_000)
            memory = served.memory()
    run.limit(f"{PARSES}, 5,000 messages", limits.parsing([one.raw for one in made]))
    unit = "messages/s, the start of the program counts"
    run.rate("rebuild threads", unit, rebuilt, WANTED_REBUILD, f"{PARSES}, 5,000 messages")
    for what, milliseconds in times.items():
        p50, p99 = (milliseconds[len(milliseconds) * share // 100] for share in (50, 99))
        run.raw[what] = {"p50": p50, "p99": p99, "max": milliseconds[-1]}
        wanted, ok = (f"p50 < {WANTED_PAGE:.0f}", p50 < WANTED_PAGE) if what in WANTED_PAGES else ("", None)
        run.add(f"5,000 messages: {what}", "ms", f"p50 {p50:.1f}, p99 {p99:.1f}", wanted, ok)
    run.memory("5,000 messages", memory)


def measure_million(run: Run, folder: Path) -> None:
    """An archive of a million posts, or of `--posts`: the next message, pages, search, check, space and rebuild."""
    of = f"{run.options.posts:,} posts"
    with Sink() as sink:
        served = Served((run.options.keep or folder) / "site", sink.port)
        grown = million.kept(served, run.options.posts)
        storing, grown = million.storing(served, grown, folder)
        file_bytes = million.file_bytes(served.site)
        cpu, findings = million.checking(served.site)
        longest = million.largest_thread(served.site)
        rebuilt = speed.rebuilding(served, grown.posts)
        with served:
            times = million.reading(served, grown)
            memory = served.memory()
    growth, space = storing.next / storing.first, file_bytes / grown.raw_bytes
    run.raw[of] = {"first": storing.first, "next": storing.next, "growth": growth, "space": space, "check": cpu}
    run.add(of, "CPU ms to store one, around the 1,000th", f"{storing.first:.2f}")
    wanted = f"<= {WANTED_GROWTH} times that"
    run.add(of, "CPU ms to store the next", f"{storing.next:.2f}, {growth:.2f} times", wanted, growth <= WANTED_GROWTH)
    size = f"{file_bytes / 1e6:,.0f} MB of {grown.raw_bytes / 1e6:,.0f} MB raw, {space:.2f} times"
    run.add(of, "store and index on the disk", size, f"< {WANTED_SPACE} times", space < WANTED_SPACE)
    for what, milliseconds in times.items():
        p50, p95 = (milliseconds[len(milliseconds) * share // 100] for share in (50, 95))
        wanted_ms = WANTED_LARGE[what]
        run.raw[f"{of}: {what}"] = {"p50": p50, "p95": p95, "max": milliseconds[-1]}
        run.add(f"{of}: {what}", "ms", f"p50 {p50:.1f}, p95 {p95:.1f}", f"p95 < {wanted_ms:.0f}", p95 < wanted_ms)
    wanted = f"<= {WANTED_CHECK} s a million"
    right = findings == 0 and cpu <= WANTED_CHECK * run.options.posts / 1_000_000
    run.add(of, "CPU s of tidings check --quick", f"{cpu:.0f}, {findings} findings", wanted, right)
    run.rate(f"{of}: rebuild threads", "messages/s", rebuilt, WANTED_REBUILD)
    run.add(of, "filled in", f"{grown.seconds:,.0f} s; the longest thread has {longest} posts")
    run.memory(of, memory)


def _query(chance: random.Random, made: Sequence[Made]) -> str:
    """A search as people make them: a word or two of some message, a phrase, who wrote it."""
    text = chance.choice(made).raw.decode().partition("\r\n\r\n")[2]
    line = chance.choice([line.split() for line in text.split("\r\n") if line.isascii() and len(line.split()) > 5])
    words = [word.strip(".>") for word in line if word.strip(".>").isalpha()]
    place = chance.randrange(max(1, len(words) - 2))
    pair = " ".join(words[place : place + 2])
    return chance.choice((" ".join(words[:1]), pair, f'"{pair}"', f"from:{chance.choice(authors())} {pair}"))


def _raws(path: Path) -> list[bytes]:
    return quality_lists.messages(gzip.decompress(path.read_bytes()))


MEASURES: dict[str, Callable[[Run, Path], None]] = {
    "limits": measure_limits,
    "accept": measure_accept,
    "e2e": measure_end_to_end,
    "import": measure_import,
    "fanout": measure_fan_out,
    "signed": measure_signed,
    "queue": measure_queue,
    "due": measure_due,
    "editions": measure_editions,
    "pages": measure_pages,
}
ASKED_FOR: dict[str, Callable[[Run, Path], None]] = {"million": measure_million, "year": measure_year}
"""What takes so long that only `--only` measures it."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(MEASURES), help=f"some of {','.join(MEASURES | ASKED_FOR)}")
    parser.add_argument("--corpus", type=Path, help="a folder of real mail, to import and to send too")
    parser.add_argument("--messages", type=int, default=2_000, help="messages end to end and of the made-up import")
    parser.add_argument("--burst", type=int, default=5_000, help="messages of the burst")
    parser.add_argument("--posts", type=int, default=1_000_000, help="of the large archive of `million`")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave that archive there, or take it from there")
    parser.add_argument("--json", type=Path, metavar="F", help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the table into F, between its two marks")
    options = parser.parse_args()
    every = MEASURES | ASKED_FOR
    unknown = set(options.only.split(",")) - set(every)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    return options


def main() -> int:
    """Measure what was asked for, print each group as soon as it is there; returns the exit status."""
    options = _options()
    run = Run(options)
    for part in options.only.split(","):
        load_before = os.getloadavg()[0]
        already = len(run.figures)
        with tempfile.TemporaryDirectory(suffix=f"-{part}") as folder:
            try:
                (MEASURES | ASKED_FOR)[part](run, Path(folder))
            except Exception as error:
                traceback.print_exc()
                run.add(part, "failed", f"{type(error).__name__}: {error}", ok=False)
        run.raw.setdefault("load average before", {})[part] = load_before
        print_table(f"{part} (load average before it: {load_before:.2f})", run.figures[already:])
    if options.markdown:
        loads = ", ".join(f"{part} {load:.1f}" for part, load in run.raw["load average before"].items())
        about = f"{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        write_markdown(options.markdown, f"{about}load average before each part: {loads}.", run.figures)
    if options.json:
        options.json.write_text(json.dumps(run.raw, indent=1), encoding="utf-8")
    return conclude(run.figures)


if __name__ == "__main__":
    sys.exit(main())
