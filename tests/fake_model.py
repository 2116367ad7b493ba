"""A made-up language model: an OpenAI-compatible server on a port of its own, and weeks for it to write of."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tidings.settings import Settings, SummarySettings, parse

WORDS = "The seal of pump 4 leaks while it is cold. A stiffer spring cured that on line 1."


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the model was asked."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The posts that it was sent."""
        found: list[dict[str, Any]] = json.loads(self.body["messages"][1]["content"])
        return found


@dataclass
class FakeModel:
    """What the server answers with, and what it was asked; `when_asked` is called first."""

    url: str
    text: str | None = WORDS
    status: int = 200
    raw: bytes | None = None  # a body in the place of a completion
    location: str = ""
    hangs: bool = False
    asked: list[Request] = field(default_factory=list)
    when_asked: Callable[[], object] = lambda: None
    going: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> Settings:
        """Settings with this model."""
        return parse(f'[summary]\nprovider = "openai"\nurl = "{self.url}"\nmodel = "small"\ntimeout = 20\n')

    def body(self) -> bytes:
        """What it answers with."""
        if self.raw is not None:
            return self.raw
        message = {"role": "assistant", "content": self.text}
        return json.dumps({"id": "1", "choices": [{"index": 0, "message": message}], "usage": {}}).encode()


def patient(model: FakeModel, **values: Any) -> SummarySettings:
    """The settings of the model with other values."""
    return SummarySettings(**{"provider": "openai", "url": model.url, "model": "small", **values})


@contextmanager
def fake_model(context: ssl.SSLContext | None = None, **values: Any) -> Iterator[FakeModel]:
    """A model on a free port of this machine, until the block ends; `context` makes it one behind https."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            model.asked.append(Request(path=self.path, headers=dict(self.headers), body=body))
            model.when_asked()
            self.send_response(model.status)
            if model.location:
                self.send_header("Location", model.location)
            self.end_headers()
            if model.hangs:
                self.wfile.write(b"{")
                self.wfile.flush()
                model.going.wait()
            self.wfile.write(model.body())

        do_GET = do_POST  # noqa: N815  (what a redirect would make of it)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Who asks may break off."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context:
        scheme, server.socket = "https", context.wrap_socket(server.socket, server_side=True)
    model = FakeModel(url=f"{scheme}://127.0.0.1:{server.server_port}/v1", **values)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield model
    finally:
        model.going.set()
        server.shutdown()
        thread.join()
        server.server_close()
