"""The mails of a rehearsal as files, and the page that lists them; it reads the Maildir of the copy and empties it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape

from tidings.clock import Clock, zone

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A mail that would have gone out; `name` is that of its file, `page` that of its HTML part, if it has one."""

    name: str
    page: str
    sent_at: datetime
    recipient: str
    subject: str
    size: int


class Letters:
    """Collects what was sent, in the order of sending."""

    def __init__(self, maildir: Path, out: Path, clock: Clock) -> None:
        self._new, self._out, self._clock = maildir / "new", out, clock
        self.kept: list[Letter] = []

    def collect(self) -> None:
        """Keep what was sent since the last time, as sent now."""
        for path in sorted(self._new.iterdir(), key=lambda path: path.name) if self._new.is_dir() else ():
            raw = path.read_bytes()
            name = f"{len(self.kept) + 1:05d}"
            (self._out / f"{name}.eml").write_bytes(raw)
            self.kept.append(self._letter(name, raw))
            path.unlink()

    def _letter(self, name: str, raw: bytes) -> Letter:
        message = BytesParser(EmailMessage, policy=default).parsebytes(raw)
        html = message.get_body(("html",)) if message.get("Auto-Submitted", "no") != "no" else None
        if html is not None:
            (self._out / f"{name}.html").write_text(html.get_content(), encoding="utf-8")
        return Letter(
            name=f"{name}.eml",
            page=f"{name}.html" if html is not None else "",
            sent_at=self._clock.now(),
            recipient=str(message["X-Envelope-To"] or ""),
            subject=str(message["Subject"] or ""),
            size=len(raw),
        )

    def write_page(self, title: str, zone_name: str) -> Path:
        """The page that lists them, by week and day; times are of the zone."""
        made = _page().render(title=title, zone_name=zone_name, weeks=_weeks(self.kept, zone_name))
        path = self._out / "index.html"
        path.write_text(made, encoding="utf-8")
        return path


def _weeks(letters: Sequence[Letter], zone_name: str) -> dict[str, list[tuple[str, Letter]]]:
    """The letters with their local times, by the ISO week in which they were sent."""
    found: dict[str, list[tuple[str, Letter]]] = {}
    for letter in letters:
        local = letter.sent_at.astimezone(zone(zone_name))
        year, week, _ = local.isocalendar()
        found.setdefault(f"{year}, week {week}", []).append((f"{local:%a %d %b %H:%M}", letter))
    return found


@cache
def _page() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["html"]), undefined=StrictUndefined
    )
    return environment.get_template("rehearsal.html")
