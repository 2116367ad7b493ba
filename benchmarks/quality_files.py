"""What import makes of single files of broken, automatic and bounced mail: each is kept, byte for byte, and shown.

Whether it is understood is not asked here.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import httpx
from sqlalchemy import select

from benchmarks.commands import ADMIN, Commands
from benchmarks.quality_lists import maildir_messages
from benchmarks.report import Figure, checked
from tidings.app import Site, open_site
from tidings.communities import sessions
from tidings.database import tables
from tidings.settings import load
from tidings.web.door import COOKIE
from tidings.web.pages import post_path

FOLDERS = ("malformed", "automated", "bounces")
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:\s*(<[^<>]+>)", re.IGNORECASE | re.MULTILINE)


def measure(name: str, source: Path, folder: Path) -> list[Figure]:
    """Import every file of a folder, whatever it is called, but for the JSON that says what to expect of it."""
    files = sorted(file for file in source.rglob("*") if file.is_file() and file.suffix != ".json")
    # A Maildir, for there any name will do.
    new = folder / "in" / "new"
    new.mkdir(parents=True)
    for number, file in enumerate(files):
        (new / f"{number:06d}").write_bytes(file.read_bytes())
    site = Commands(folder / "site")
    site.run("community", "add", "list", "--name", "A list", "--posting", "open")
    raws = [file.read_bytes() for file in files]
    return [*_import(name, site, new.parent), *_kept(name, site, raws), _shown(name, site)]


def _import(name: str, site: Commands, maildir: Path) -> Iterator[Figure]:
    files = len(list((maildir / "new").iterdir()))
    empty = sum(not file.read_bytes().strip() for file in (maildir / "new").iterdir())
    counts = site.json("import", "list", maildir)
    yield checked(name, "files with a verdict", sum(counts.values()), files)
    yield Figure(
        of=name, what="verdicts", value=", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    )
    yield checked(name, "refused that are not empty", counts["refused"] - empty, 0)
    yield checked(name, "shunted", len(site.json_lines("shunt", "list")), 0)
    again = site.json("import", "list", maildir)
    yield checked(name, "stored by the same import again", again["stored"], 0)
    yield checked(name, "findings of tidings check", len(site.json_lines("check")), 0)


def _kept(name: str, site: Commands, raws: list[bytes]) -> Iterator[Figure]:
    site.run("export", "list", "--maildir", site.folder / "out")
    stored = Counter(maildir_messages(site.folder / "out"))
    held = Counter(_held(site))
    given = Counter(raw for raw in raws if raw.strip())
    kept = set(stored) | set(held)
    bodies: dict[bytes, set[bytes]] = {}
    for named, body in map(_name_and_body, kept):
        bodies.setdefault(named, set()).add(body)
    missing = Counter(_standing(raw, bodies) for raw in set(given) - kept)
    yield Figure(of=name, what="left out: a copy of it is there", value=str(missing["copy"]))
    yield checked(name, "left out: another body with the same Message-ID is there", missing["other body"], 0)
    yield checked(name, "left out: it has no Message-ID, or that id is not there", missing["alone"], 0)
    yield checked(name, "contents that nobody sent", len(kept - set(given)), 0)
    # The same bytes twice are one message.
    yield checked(name, "contents kept twice", len((stored + held) - Counter(set(given))), 0)


def _shown(name: str, commands: Commands) -> Figure:
    """Whether each post's page, with the thread that it stands in, comes without an error."""
    site = open_site(load(commands.config))
    try:
        with site.database.write() as connection:
            cookie = sessions.open_session(connection, ADMIN, site.clock.now())
            posts = connection.execute(select(tables.post.c.message_id)).scalars().all()
        answers = asyncio.run(_answers(site, cookie, [post_path("list", post) for post in posts]))
    finally:
        site.close()
    return checked(name, "posts whose page is shown", answers.count(httpx.codes.OK), len(posts))


async def _answers(site: Site, cookie: str, paths: list[str]) -> list[int]:
    transport = httpx.ASGITransport(site.web(), raise_app_exceptions=False)
    url = site.settings.site.base_url
    async with httpx.AsyncClient(transport=transport, base_url=url, cookies={COOKIE: cookie}) as browser:
        return [(await browser.get(path)).status_code for path in paths]


def _standing(raw: bytes, bodies: Mapping[bytes, Collection[bytes]]) -> str:
    """What is kept in the place of a message that is not."""
    name, body = _name_and_body(raw)
    if body in bodies.get(name, ()):
        return "copy"
    return "other body" if name in bodies and name.startswith(b"<") else "alone"


def _name_and_body(raw: bytes) -> tuple[bytes, bytes]:
    """What makes two messages one: the Message-ID (the whole header where there is none) and the body.

    Line ends, and the white space around a message, may differ between its copies.
    """
    head, _, body = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip().partition(b"\n\n")
    found = _MESSAGE_ID.search(head)
    return found[1] if found else head, body.strip()


def _held(site: Commands) -> list[bytes]:
    opened = open_site(load(site.config))
    try:
        return [opened.spool.raw(entry.key) for entry in opened.spool.listing("held")]
    finally:
        opened.close()
