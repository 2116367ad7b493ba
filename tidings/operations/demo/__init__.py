"""The demo: a made-up site with a clock to push, a page of every mail that was sent and a box to write from as anybody.

The parts of the site are passed in by whoever serves it; nothing here opens one.
"""

import socket
from pathlib import Path

import msgspec

from tidings.errors import UsageError
from tidings.settings import Settings, host_port

LISTEN = "127.0.0.1:8080"
ADMIN = "admin@example.org"
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (compared with, not listened on)

_SETTINGS = """\
# A made-up site, for `tidings demo`. Its mail is written to the folder {data_dir}/outbox, and none leaves this machine.
[site]
name = "Tidings demo"
domain = "lists.example.org"
data_dir = "{data_dir}"
zone = "Europe/Berlin"
admins = ["{admin}"]
demo = true

[smtp]
listen = "127.0.0.1:0"  # a free port

[web]
listen = "{listen}"
"""


def settings_text(listen: str = LISTEN) -> str:
    """The settings file of a new demo whose pages are at `listen` (HOST:PORT). Raises SettingsError."""
    host_port(listen)
    return _SETTINGS.format(data_dir="site", admin=ADMIN, listen=listen)


def listening_at(settings: Settings, listen: str) -> Settings:
    """The settings with the pages at `listen` (HOST:PORT)."""
    return msgspec.structs.replace(settings, web=msgspec.structs.replace(settings.web, listen=listen))


def at_a_free_port(settings: Settings) -> Settings:
    """The settings with the port at which the pages can be served now: the one asked for, or a free one.

    The links in mail lead there too. Raises UsageError for a site that is no demo, OSError for a host not ours.
    """
    if not settings.site.demo:
        raise UsageError("This is a real site (site.demo is false). Serve it with `tidings serve`.")
    host, port = host_port(settings.web.listen)
    port = _free_port(host, port)
    name = "127.0.0.1" if host in _EVERYWHERE else host
    shown, bound = (f"[{one}]" if ":" in one else one for one in (name, host))
    return msgspec.structs.replace(
        settings,
        site=msgspec.structs.replace(settings.site, base_url=f"http://{shown}:{port}"),
        web=msgspec.structs.replace(settings.web, listen=f"{bound}:{port}"),
    )


def _free_port(host: str, port: int) -> int:
    """`port` where nothing listens on it, else a free one."""
    try:
        return _bound(host, port)
    except OSError:
        return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        return int(trial.getsockname()[1])


def is_new(settings: Settings) -> bool:
    """Whether the demo's site is still to be made."""
    return not Path(settings.site.data_dir).exists()


def unfinished(settings: Settings) -> Settings:
    """The settings with the folder in which the site is made before it gets its own name."""
    folder = settings.site.data_dir + ".part"
    return msgspec.structs.replace(settings, site=msgspec.structs.replace(settings.site, data_dir=folder))


def greeting(settings: Settings) -> str:
    """What to say when the demo is there."""
    return f"Open {settings.site.base_url}/ in a browser. Ctrl-C ends the demo; the next start goes on from there."
