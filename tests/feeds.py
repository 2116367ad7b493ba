"""A server of calendars on a port of its own, and calendars as rota programs write them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tidings.communities import calendars
from tidings.database.engine import Database


def event(start: str, end: str = "", *lines: str, title: str = "Night", uid: str = "1") -> str:
    """A VEVENT; `start` and `end` as they stand after DTSTART and DTEND (`;TZID=Europe/Berlin:20260328T190000`)."""
    last = [f"DTEND{end}"] if end else []
    written = ["BEGIN:VEVENT", f"UID:{uid}", f"DTSTART{start}", *last, f"SUMMARY:{title}", *lines, "END:VEVENT"]
    return "\r\n".join(written)


def calendar(*events: str) -> bytes:
    """An iCalendar file of these."""
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:rota", *events, "END:VCALENDAR", ""]).encode()


@dataclass
class Feed:
    """What the server answers with, and how often it was asked."""

    address: str
    body: bytes = b""
    status: int = 200
    reason: str | None = None
    location: str = ""
    drips: bool = False
    asked: int = 0
    going: threading.Event = field(default_factory=threading.Event)


def broken(database: Database, now: datetime) -> None:
    """Let crew B of the rota plant have a feed that was read at `now` and answers 500 a day later."""
    with serving() as feed:
        feed.body = calendar(event(";VALUE=DATE:20200101"))
        calendars.bring_in(
            database,
            source=feed.address,
            to=calendars.Target(rota="plant", crew="B"),
            default_zone="UTC",
            now=now,
            changed=lambda _connection: None,
        )
        feed.status = 500
        calendars.refresh_due(database, now + calendars.EVERY, lambda _connection: None)


@contextmanager
def serving() -> Iterator[Feed]:
    """A feed on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            feed.asked += 1
            self.send_response(feed.status, feed.reason)
            if feed.location:
                self.send_header("Location", feed.location)
            self.end_headers()
            if feed.drips:
                feed.going.wait()
            self.wfile.write(feed.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    feed = Feed(address=f"http://127.0.0.1:{server.server_port}/crew-b.ics")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield feed
    finally:
        feed.going.set()
        server.shutdown()
        thread.join()
        server.server_close()
