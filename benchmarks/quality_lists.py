"""What import, threads and export make of whole lists, through the command line.

It prints neither message text nor addresses: failures are counted by kind.
"""

import filecmp
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import Commands
from benchmarks.report import Figure, checked

AGREEMENT = 0.995  # of the parents that the headers alone give

_FROM_LINE = re.compile(rb"^From [^\n]*\n", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def lists(corpus: Path) -> Iterator[tuple[str, Path, dict[str, str | None]]]:
    """Each list of the corpus: its name, its mbox, and each message's parent as its headers give it."""
    for path in sorted((corpus / "lists").glob("*.mbox.gz")):
        name = path.name.removesuffix(".mbox.gz")
        beside = path.with_name(f"{name}.parents.json.gz")
        if beside.exists():
            parents = json.loads(gzip.decompress(beside.read_bytes()))["parent"]
            yield name, path, {_bare(child): parent and _bare(parent) for child, parent in parents.items()}


def messages(mbox: bytes) -> list[bytes]:
    """The messages of an mboxrd: every line that begins with `From ` begins one."""
    starts = list(_FROM_LINE.finditer(mbox))
    ends = [*(start.start() for start in starts[1:]), len(mbox)]
    return [
        _QUOTED.sub(rb"\1", mbox[start.end() : end].removesuffix(b"\n"))
        for start, end in zip(starts, ends, strict=True)
    ]


def measure(name: str, path: Path, parents: Mapping[str, str | None], folder: Path) -> list[Figure]:
    """Import one list into a new site, and compare what comes out with what went in."""
    plain = folder / "list.mbox"
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    raws = messages(plain.read_bytes())
    site = Commands(folder / "site")
    site.run("community", "add", "list", "--name", "A list", "--posting", "open")
    return [
        *_import(name, site, path, raws),
        *_tree(name, site, parents),
        *_export(name, site, plain, raws),
        *_again(name, site, path, raws),
    ]


def _import(name: str, site: Commands, path: Path, raws: Sequence[bytes]) -> Iterator[Figure]:
    verdicts = site.folder / "verdicts.jsonl"
    counts = site.json("import", "list", path, "--verdicts", verdicts)
    lines = [json.loads(line) for line in verdicts.read_text(encoding="utf-8").splitlines()]
    yield checked(name, "messages with a verdict", len(lines), len(raws))
    yield checked(name, "verdicts of different messages", len({line["source"] for line in lines}), len(raws))
    yield checked(name, "messages stored", counts["stored"], len(raws))
    listed = site.json("community", "show", "list")["last_number"]
    yield checked(name, "posts in the archive", listed, counts["stored"])


def _tree(name: str, site: Commands, parents: Mapping[str, str | None]) -> Iterator[Figure]:
    rows = {row["message_id"]: row for row in site.json_lines("tree", "list")}
    yield checked(name, "messages in the tree", len(rows), len(parents))
    wanted = {child: parent for child, parent in parents.items() if parent}
    wrong = Counter(_disagreement(rows, child, parent) for child, parent in wanted.items())
    agreed = wrong.pop("", 0)
    share = agreed / len(wanted) if wanted else 1.0
    kinds = "; ".join(f"{count} {kind}" for kind, count in wrong.most_common(4))
    yield Figure(
        of=name,
        what="parents as the headers give them",
        value=f"{share:.2%} of {len(wanted)}" + (f" ({kinds})" if kinds else ""),
        wanted=f">= {AGREEMENT:.1%}",
        ok=share >= AGREEMENT,
    )
    found = sum(parents[child] is None and row["parent"] is not None for child, row in rows.items() if child in parents)
    yield Figure(of=name, what="parents found where the headers give none here", value=str(found))
    yield Figure(of=name, what="threads", value=str(len({row["thread"] for row in rows.values()})))


def _disagreement(rows: Mapping[str, Any], child: str, parent: str) -> str:
    """In what way the tree disagrees; empty where it does not."""
    row = rows.get(child)
    if row is None:
        return "not in the tree"
    if row["parent"] == parent:
        return ""
    if row["parent"] is None:
        return f"begin a thread ({row['why']})"
    place = "same thread" if rows.get(parent, {}).get("thread") == row["thread"] else "other thread"
    return f"under another by {row['why']}, {place}"


def _export(name: str, site: Commands, plain: Path, raws: Sequence[bytes]) -> Iterator[Figure]:
    out = site.folder / "out.mbox"
    site.run("export", "list", "--mbox", out)
    same = filecmp.cmp(out, plain, shallow=False)
    value = "the whole file is the same" if same else f"{_lost(raws, messages(out.read_bytes()))} messages differ"
    yield Figure(of=name, what="export --mbox", value=value, wanted="every byte", ok=same)
    maildir = site.folder / "out"
    site.run("export", "list", "--maildir", maildir)
    yield checked(name, "messages that differ in export --maildir", _lost(raws, maildir_messages(maildir)), 0)


def maildir_messages(folder: Path) -> list[bytes]:
    """What lies in a Maildir."""
    return [file.read_bytes() for part in ("new", "cur") for file in sorted((folder / part).iterdir())]


def _lost(before: Sequence[bytes], after: Sequence[bytes]) -> int:
    """How many messages are on one side only."""
    left, right = Counter(before), Counter(after)
    return (left - right).total() + (right - left).total()


def _again(name: str, site: Commands, path: Path, raws: Sequence[bytes]) -> Iterator[Figure]:
    counts = site.json("import", "list", path)
    yield checked(name, "stored by the same import again", counts["stored"], 0)
    yield checked(name, "found to be there already", counts["duplicate"], len(raws))
    yield checked(name, "findings of tidings check", len(site.json_lines("check")), 0)


def _bare(message_id: str) -> str:
    return "".join(message_id.split()).strip("<>")
