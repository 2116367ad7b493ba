"""Whether what programs send is ever posted or answered: each message at each kind of address of a whole site.

A message comes as its header says: with the null return path where it has that, else from its author. The figures are
printed by benchmarks.quality.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.report import Figure
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import tables
from tidings.errors import TidingsError
from tidings.mailer.charsets import readable
from tidings.mailer.parse import parse
from tidings.mailer.spool import Accepted
from tidings.settings import parse as settings_of

NOW = datetime(2026, 10, 14, 7, 0, tzinfo=UTC)
_DETAILS = ("", "+owner", "+subscribe", "+unsubscribe", "+help", "+command")


def figures(corpus: Path, folder: Path) -> Iterator[Figure]:
    """How many messages of `automated` were posted, and how many mails went out because of them."""
    raws = [path.read_bytes() for path in sorted((corpus / "automated").glob("*.eml"))]
    if not raws:
        return
    marked = [raw for raw in raws if _is_marked(raw)]
    yield _figure("of members only, at its own address", raws, "members", ("",), folder / "post")
    yield _figure("of members only, what a program marked", marked, "members", _DETAILS, folder / "members")
    yield _figure("open to all, of which the senders are", marked, "open", _DETAILS, folder / "open")
    # What nothing marks are advertisements under made-up names: to keep those out is a filter's task in front.
    yield Figure(of="automated", what="known for a program's by itself", value=f"{len(marked)} of {len(raws)}")


def _figure(community: str, raws: list[bytes], posting: str, details: tuple[str, ...], folder: Path) -> Figure:
    posts, mails = _take_in(raws, posting, details, folder)
    return Figure(
        of="automated",
        what=f"posted and answered by a community {community}",
        value=f"{posts} and {mails}: {len(raws)} files at {len(details)} addresses",
        wanted="0 and 0",
        ok=not (posts or mails),
    )


def _is_marked(raw: bytes) -> bool:
    return _mail_from(raw) == "" or parse(raw, settings_of("").limits).automatic != ""


def _mail_from(raw: bytes) -> str:
    """The return path, or some address where the header says none."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    paths = [line for line in head.split(b"\n") if line.lower().startswith(b"return-path:")]
    found = readable(paths[0].partition(b":")[2].decode("latin-1")).strip(" <>\r") if paths else "someone@example.org"
    return found[:250]


def _take_in(raws: list[bytes], posting: str, details: tuple[str, ...], folder: Path) -> tuple[int, int]:
    settings = settings_of(f'[site]\ndata_dir = "{folder}"\nadmins = ["admin@example.org"]\n')
    site = open_site(settings, FixedClock(NOW))
    with site.database.write() as connection:
        joining.add_community(connection, name="pump", title="Pump", zone="UTC", posting=posting, now=NOW)
    for raw in raws:
        if posting == "open":
            _join(site, parse(raw, settings.limits).author_email)
        wire = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        recipients = [f"pump{detail}@{settings.site.domain}" for detail in details]
        site.spool.append([_accepted(wire, one, _mail_from(raw)) for one in recipients])
    worker = site.worker()
    intake = site.intake(worker)
    intake.drain()
    intake.close()
    worker.close()
    with site.database.read() as connection:
        posts = connection.execute(select(func.count()).select_from(tables.post)).scalar_one()
        # What is held is told to the moderators, here the admin: that answers nobody.
        others = tables.delivery.c.recipient != "admin@example.org"
        mails = connection.execute(select(func.count()).select_from(tables.delivery).where(others)).scalar_one()
    site.close()
    return posts, mails


def _join(site: Site, author: str) -> None:
    try:
        with site.database.write() as connection:
            joining.add_member(connection, community="pump", email=author, now=NOW, delivery="none")
    except TidingsError:
        return  # no address that anybody could have


def _accepted(raw: bytes, recipient: str, mail_from: str) -> Accepted:
    return Accepted(mail_from=mail_from, recipient=recipient, peer="", via="smtp", received_at=NOW, raw=raw)
