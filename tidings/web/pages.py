"""Renders templates to replies: one environment, compiled once, everything escaped.

It knows no database and decides nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from tidings.mailer.addresses import post_page
from tidings.web import markup

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
"""What every reply carries unless its page says otherwise. No script runs anywhere."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HERE = Path(__file__).parent
STYLE = (_HERE / "static" / "style.css").read_bytes()
ICON = (_HERE / "static" / "icon.svg").read_bytes()
_VERSION = hashlib.sha256(STYLE + ICON).hexdigest()[:12]


class Pages:
    """The templates of one site."""

    def __init__(self, *, site_name: str, zone: ZoneInfo, demo: bool = False, more: Sequence[Path] = ()) -> None:
        """`demo` shows the way to the demo's pages; `more` are folders of further templates."""
        self._zone = zone
        self._environment = Environment(
            loader=FileSystemLoader([_HERE / "templates", *more]),
            autoescape=True,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters |= {
            "when": self._when,
            "at": at,
            "clock": lambda moment, zone_name: f"{moment.astimezone(ZoneInfo(zone_name)):%H:%M}",
            "day": day,
            "iso": lambda moment: moment.isoformat(),
            "line": markup.line,
            "links": markup.linked,
            "block": markup.block,
            "marked": markup.marked,
            "file_name": markup.file_name,
            "file_size": markup.file_size,
            "part": path_part,
        }
        self._environment.globals |= {
            "site_name": site_name,
            "demo": demo,
            "zone_name": str(zone),
            "version": _VERSION,
            "post_path": post_path,
        }

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page; `values` must name all that the template uses."""
        return HTMLResponse(self._environment.get_template(template).render(values), status_code=status)

    def feed(self, template: str, **values: Any) -> Response:
        """An Atom feed."""
        text = self._environment.get_template(template).render(values)
        return Response(text, media_type="application/atom+xml")

    def _when(self, moment: datetime) -> Markup:
        """A moment as an absolute date in the site's zone: the page may be read years later."""
        local = moment.astimezone(self._zone)
        shown = f"{local.day} {_MONTHS[local.month - 1]} {local.year}, {local:%H:%M}"
        return Markup(f'<time datetime="{local.isoformat(timespec="seconds")}">{shown}</time>')  # noqa: S704


def at(moment: datetime, zone_name: str) -> Markup:
    """A moment with its weekday, in that zone: `Tue 13 Oct 2026, 14:00`."""
    local = moment.astimezone(ZoneInfo(zone_name))
    shown = f"{day(local.date())}, {local:%H:%M}"
    return Markup(f'<time datetime="{local.isoformat(timespec="seconds")}">{shown}</time>')  # noqa: S704


def day(found: date) -> str:
    """A day with its weekday: `Tue 13 Oct 2026`."""
    return f"{_DAYS[found.weekday()]} {found.day} {_MONTHS[found.month - 1]} {found.year}"


def path_part(text: str) -> str:
    """A text as one segment of a path, as the links in mail have it."""
    return quote(text, safe="@")


def post_path(community: str, message_id: str) -> str:
    """The permalink of a post."""
    return post_page("", community, message_id)


def with_query(path: str, values: Mapping[str, str]) -> str:
    """A path with a query, without the values that are empty."""
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{path}?{query}" if query else path
