"""Whether small mailboxes are threaded as IMAP's THREAD=REFERENCES would (RFC 5256), also after messages went or came.

Tidings differs on purpose, so that no count is asked for: the subject alone joins nothing (nor ORDEREDSUBJECT), what
refers to one another is one thread, a loop is cut at its earliest message, and siblings of one second stand by
Message-ID, not in their order of arrival.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.quality_lists import messages
from benchmarks.report import Figure
from tidings.archive.store import own_id
from tidings.intake.filing import arrival_of
from tidings.mailer.parse import parse
from tidings.settings import Settings
from tidings.threading.place import MemoryNodes, Node, place
from tidings.threading.tree import arrange

_FROM_DATE = re.compile(rb"^From \S+ +(.*)$", re.MULTILINE)
_NUMBERS = re.compile(r"store ([\d,]+) \+flags")
Mailbox = list[tuple[bytes, datetime]]


def figures(corpus: Path) -> Iterator[Figure]:
    """How many cases come out as written, and which do not."""
    wrong, cases = [], 0
    for path in sorted((corpus / "threading").glob("*/*.expected.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if case["algorithm"] == "REFERENCES":
            cases += 1
            mbox = path.with_name(path.name.removesuffix(".expected.json") + ".mbox").read_bytes()
            wrong += [path.name.split(".")[0]] if not _as_written(case, mbox) else []
    if cases:
        value = f"{cases - len(wrong)} of {cases}" + (f" (not {', '.join(wrong)})" if wrong else "")
        yield Figure(of="threading", what="cases of THREAD=REFERENCES as written", value=value)


def _as_written(case: dict[str, object], mbox: bytes) -> bool:
    dates = [_date(found.decode()) for found in _FROM_DATE.findall(mbox)]
    coming = list(zip(messages(mbox), dates, strict=True))
    here: Mailbox = coming if case["all_messages_present_at_start"] else []
    gone: set[int] = set()
    for step in case["steps"]:  # type: ignore[attr-defined]
        if step["do"].startswith("append"):
            here = [*here, coming[len(here) + len(gone)]]
        elif found := _NUMBERS.match(step["do"]):
            doomed = {int(number) for number in found[1].split(",")}
        elif step["do"] == "expunge":
            here = [one for number, one in enumerate(here, 1) if number not in doomed]
            gone |= {(len(gone) + number) for number in doomed}
        elif step.get("expect", "").lower() != threads(here):
            return False
    return True


def _date(text: str) -> datetime:
    return datetime.strptime(" ".join(text.split()[:5]) + " +0000", "%a %b %d %H:%M:%S %Y %z")


def threads(mailbox: Mailbox) -> str:
    """The threads of a mailbox as THREAD answers them."""
    settings, nodes, seen = Settings(), MemoryNodes(), set()
    for number, (raw, date) in enumerate(mailbox, 1):
        message = parse(raw, settings.limits)
        message_id = message.message_id
        if not message_id or message_id in seen:
            message_id = f"{number}.{own_id(message.content_hash, settings.site.domain)}"
        seen.add(message_id)
        date = message.date or date
        place(nodes, arrival_of(message, settings, message_id=message_id, post_id=number, date=date, answers=None))
    gathered: dict[int, list[Node]] = {}
    for node in nodes.nodes.values():
        gathered.setdefault(node.thread_id, []).append(node)
    shown = [branches for group in gathered.values() if (branches := arrange(group))]
    shown.sort(key=lambda branches: (branches[0].node.date, branches[0].node.post_id))
    return "".join(_answer([(one.depth, one.node.post_id or 0) for one in branches]) for branches in shown)


def _answer(rows: Sequence[tuple[int, int]]) -> str:
    """One thread, from (depth, number) in order; these mailboxes are a few messages deep."""
    tops = [place for place, (depth, _) in enumerate(rows) if depth == rows[0][0]]
    parts = [rows[start:end] for start, end in zip(tops, [*tops[1:], len(rows)], strict=True)]
    if len(parts) > 1:
        return "(" + "".join(_answer(part) for part in parts) + ")"
    inner = _answer(rows[1:]) if len(rows) > 1 else ""
    several = inner.startswith("((")
    return f"({rows[0][1]}{' ' + (inner[1:-1]) if inner else ''})" if not several else f"({rows[0][1]} {inner[1:-1]})"
