"""What an archive costs when it is large: the next message, its pages, its search, its check and its space.

The posts are made up and go through the archive's own store in batches, as an import's do, but not through the parser:
what that costs does not depend on what is stored already.
"""

import base64
import hashlib
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import msgspec
from sqlalchemy import func, select

from benchmarks.mail import LIST, word_list
from benchmarks.served import Served
from benchmarks.speed import Pages
from tidings.app import Site
from tidings.archive import store
from tidings.communities import directory
from tidings.database import tables
from tidings.intake.filing import Filing
from tidings.mailer.parsed import ParsedMessage
from tidings.operations import check
from tidings.threading.quotes import fold

BATCH = 100  # messages a transaction, as an import has them
FIRST = 1_000  # the post with whose cost that of the next is compared
_START = datetime(2016, 1, 4, 8, 0, tzinfo=UTC)
_WRITERS = 2_000
_LINES = 50_000  # that bodies are put together from
_RECENT = 300
_NEW_THREAD = 0.19
_READINGS = 400
_TURNS = 20  # of 1,000 posts each


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """A large archive: how many posts it has, what they have as raw bytes, and some of them."""

    posts: int
    raw_bytes: int
    seconds: float  # that it took to fill, generation included
    sample: Sequence[str]  # some message ids
    words: Sequence[str]  # some searches


@dataclass(frozen=True, kw_only=True)
class Storing:
    """CPU milliseconds of a post: around the 1,000th of an archive, and the next one of a large one."""

    first: float
    next: float


def posts(count: int, seed: int = 11) -> Iterator[tuple[ParsedMessage, bytes]]:
    """Messages of about 3 kB, half of it header as on real lists, parents before replies; as parsed, and raw."""
    chance = random.Random(seed)
    words = word_list(chance)
    lines = [" ".join(chance.choices(words, k=chance.randint(6, 13))) for _ in range(_LINES)]
    recent: deque[tuple[str, str, str, str]] = deque(maxlen=_RECENT)
    for number in range(count):
        answered = None
        if recent and chance.random() >= _NEW_THREAD:
            answered = recent[-1 - int(chance.random() ** 2 * len(recent))]
        message, raw = _post(chance, lines, number, answered)
        chain = f"{message.references} <{message.message_id}>".strip()
        own = message.text.partition("\n\n> ")[0].partition("\n")[0]
        recent.append((message.message_id, " ".join(chain.split()[-20:]), message.subject.removeprefix("Re: "), own))
        yield message, raw


def _post(
    chance: random.Random, lines: Sequence[str], number: int, answered: tuple[str, str, str, str] | None
) -> tuple[ParsedMessage, bytes]:
    message_id = f"{chance.getrandbits(64):016x}.{number}@mail{chance.randrange(50)}.example.org"
    writer = min(int(chance.paretovariate(0.6)), _WRITERS)
    name, email = f"Writer Number {writer}", f"writer{writer}@example.org"
    date = _START + timedelta(minutes=5 * number)
    body = "\n".join(chance.choices(lines, k=chance.randint(8, 22)))
    body = f"Hello all,\n\n{body}\n\nPart {chance.getrandbits(40):010x}, line {number}.\n\n-- \n{name}\n"
    parent, references, subject, quoted = "", "", " ".join(chance.choice(lines).split()[:6]), ""
    if answered:
        parent, references, subject, quoted = answered
        subject = f"Re: {subject}"
        body = f"On {date:%d %b %Y}, somebody <writer1@example.org> wrote:\n> {quoted}\n\n{body}"
    hops = "".join(
        f"Received: from relay{hop}.example.org (relay{hop}.example.org [192.0.2.{hop}])\n"
        f"\tby mx{hop}.example.org with ESMTPS id {chance.getrandbits(48):012x};\n\t{format_datetime(date)}\n"
        for hop in range(3)
    )
    signed = [base64.b64encode(chance.randbytes(48)).decode() for _ in range(6)]
    head = (
        f"{hops}DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=mail;\n"
        f"\th=from:subject:to:references:in-reply-to:message-id:date:mime-version:content-type;\n\tbh={signed[0][:44]};\n"
        + "".join(f"\t{'b=' if line == signed[1] else ''}{line}\n" for line in signed[1:])
        + f"From: {name} <{email}>\nTo: {LIST}\nSubject: {subject}\nDate: {format_datetime(date)}\n"
        "User-Agent: Made-up/1.0 (X11; Linux x86_64; rv:102.0)\nContent-Language: en-US\nPrecedence: list\n"
        f"List-Id: Bench <bench.lists.example.org>\nList-Post: <mailto:{LIST}>\nX-Mailer-Id: {signed[0][::-1]}\n"
        f"Message-ID: <{message_id}>\n"
        + (f"In-Reply-To: <{parent}>\nReferences: {references}\n" if parent else "")
        + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
    )
    raw = (head + body).encode()
    message = ParsedMessage(
        message_id=message_id,
        in_reply_to=f"<{parent}>" if parent else "",
        references=references,
        subject=subject,
        author_name=name,
        author_email=email,
        recipients=LIST,
        date=date,
        text=body,
        folds=[(one.start, one.end, one.kind) for one in fold(body)],
        attachments=[],
        content_hash=hashlib.sha256(raw).digest(),
        automatic="",
        loop_marks=[],
        list_ids=[LIST.replace("@", ".")],
    )
    return message, raw


def kept(served: Served, count: int) -> Grown:
    """The archive of a served folder, filled with so many posts where that was not done yet.

    Raises ValueError where it was filled with fewer.
    """
    said = _said(served)
    if not said.exists():
        said.write_bytes(msgspec.json.encode(grow(served.site, count)))
    grown = msgspec.json.decode(said.read_bytes(), type=Grown)
    if grown.posts < count:
        raise ValueError(f"{served.folder} holds {grown.posts:,} posts; say --posts {grown.posts}, or name another")
    return grown


def grow(site: Site, count: int) -> Grown:
    """Fill the community `bench` with so many posts."""
    community_id, began = _community_id(site), time.monotonic()
    sample: list[str] = []
    words: list[str] = []
    raw_bytes = 0
    chance = random.Random(5)
    for batch in _batches(posts(count)):
        _store(site, community_id, batch)
        raw_bytes += sum(len(raw) for _, raw in batch)
        if chance.random() < 2 * _READINGS * BATCH / count:
            shown, _ = chance.choice(batch)
            sample.append(shown.message_id)
            words.append(_search(chance, shown))
    return Grown(posts=count, raw_bytes=raw_bytes, seconds=time.monotonic() - began, sample=sample, words=words)


def storing(served: Served, grown: Grown, folder: Path) -> tuple[Storing, Grown]:
    """What further posts of the archive cost, in turn with those of small ones so that both meet the same machine.

    And the archive as it is then. The text index merges now and then: so many that this counts as often as it happens.
    """
    few: list[float] = []
    many: list[float] = []
    community_id, raw_bytes = _community_id(served.site), 0
    further = _batches(posts(_TURNS * FIRST, seed=grown.posts))  # others than those that are there
    for turn in range(_TURNS):
        small = Served(folder / f"small-{turn}").site
        batches = _batches(posts(FIRST + FIRST // 2, seed=-1 - turn))
        small_id = _community_id(small)
        for batch in islice(batches, FIRST // BATCH // 2):
            _store(small, small_id, batch)
        for batch, another in zip(batches, further, strict=False):
            few.append(_store(small, small_id, batch))
            many.append(_store(served.site, community_id, another))
            raw_bytes += sum(len(raw) for _, raw in another)
        small.close()
    now = msgspec.structs.replace(grown, posts=grown.posts + len(many) * BATCH, raw_bytes=grown.raw_bytes + raw_bytes)
    _said(served).write_bytes(msgspec.json.encode(now))
    return Storing(first=_mean(few), next=_mean(many)), now


def _said(served: Served) -> Path:
    return served.folder / "grown.json"


def _community_id(site: Site) -> int:
    with site.database.read() as connection:
        return directory.community(connection, "bench").id


def _batches(made: Iterator[tuple[ParsedMessage, bytes]]) -> Iterator[list[tuple[ParsedMessage, bytes]]]:
    while batch := list(islice(made, BATCH)):
        yield batch


def _store(site: Site, community_id: int, batch: Sequence[tuple[ParsedMessage, bytes]]) -> float:
    """Store a batch; CPU seconds of that, commit and all."""
    before, writes = time.process_time(), store.Writes()
    with site.database.write() as connection:
        filing = Filing(connection, community_id, site.settings, writes)
        filing.expect([message for message, _ in batch])
        for message, raw in batch:
            filing.file(message, store.packed(raw), received_at=message.date or _START, via="import")
        filing.flush()
    return time.process_time() - before


def _mean(costs: Sequence[float]) -> float:
    return sum(costs) / len(costs) / BATCH * 1000


def _search(chance: random.Random, shown: ParsedMessage) -> str:
    """A search as people make them: a word or two of some post, a phrase, who wrote it."""
    words = [word for word in shown.text.split() if word.isalpha() and len(word) > 3] or ["line"]
    place = chance.randrange(max(1, len(words) - 1))
    pair = " ".join(words[place : place + 2])
    return chance.choice((words[place], pair, f'"{pair}"', f"from:{shown.author_email.partition('@')[0]} {pair}"))


def file_bytes(site: Site) -> int:
    """What the database has on the disk once its log is folded in; 0 on PostgreSQL."""
    with site.database.write() as connection:
        connection.rollback()
    path = site.database.path
    return sum(Path(f"{path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{path}{end}").exists())


def reading(served: Served, grown: Grown) -> dict[str, list[float]]:
    """Milliseconds of each page over one kept connection, sorted."""
    pages = Pages(served)
    sample, words = grown.sample[:_READINGS], grown.words[:_READINGS]
    paths = {
        "thread page": [f"/c/bench/m/{quote(one, safe='@')}/" for one in sample],
        "list of threads, newest": ["/c/bench/"] * (_READINGS // 4),
        "list of threads, anywhere": [f"/c/bench/?before={_cursor(grown, share / 100)}" for share in range(1, 100)],
        "search": [f"/c/bench/search?q={quote(word)}" for word in words],
    }
    times = {what: sorted(pages.timed(path) for path in those) for what, those in paths.items()}
    pages.close()
    return times


def _cursor(grown: Grown, share: float) -> str:
    """Where a page of the list of threads goes on that is this far down the archive."""
    date = _START + timedelta(minutes=5 * grown.posts * (1 - share))
    return f"{int(date.timestamp() * 1_000_000)}-{1 << 40}"


def checking(site: Site) -> tuple[float, int]:
    """CPU seconds of `tidings check --quick`, and how much it found."""
    before = time.process_time()
    findings = sum(1 for _ in check.check(site.database))
    return time.process_time() - before, findings


def largest_thread(site: Site) -> int:
    """How many posts the longest thread has."""
    counted = select(func.count().label("many")).select_from(tables.post).group_by(tables.post.c.thread_id).subquery()
    with site.database.read() as connection:
        return connection.execute(select(func.max(counted.c.many))).scalar_one()
