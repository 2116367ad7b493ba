"""The settings: one TOML file, every key typed, with a default and a line of docs.

`config.example.toml` and docs/settings.md are generated from the docs here. Nothing is read from here at run time but
through the `Settings` value that is passed in.
"""

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tidings.clock import zone
from tidings.errors import SettingsError, UsageError


def _doc(text: str, ge: int | None = None, le: int | None = None) -> msgspec.Meta:
    return msgspec.Meta(description=text, ge=ge, le=le)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class SiteSettings(Part, frozen=True):
    """The site as a whole."""

    name: Annotated[str, _doc("What the site is called in pages and mail.")] = "Tidings"
    domain: Annotated[str, _doc("The mail domain of the communities: NAME@domain.")] = "lists.example.org"
    base_url: Annotated[str, _doc("Where the pages are reached from outside; links in mail begin with it.")] = (
        "http://127.0.0.1:8080"
    )
    data_dir: Annotated[str, _doc("Folder of the spool, and what relative paths start from.")] = "."
    zone: Annotated[str, _doc("IANA time zone of communities and people who name none.")] = "Europe/Berlin"
    admins: Annotated[list[str], _doc("Addresses of the people who may see and do everything.")] = []
    demo: Annotated[bool, _doc("A made-up site whose clock may be pushed forward; never for a real one.")] = False


class DatabaseSettings(Part, frozen=True):
    """Where everything but mail on its way is kept."""

    url: Annotated[
        str, _doc("sqlite:///FILE (relative to data_dir) or postgresql+psycopg://USER:PASSWORD@HOST/NAME.")
    ] = "sqlite:///tidings.db"


class SmtpSettings(Part, frozen=True):
    """The listener for mail that comes in."""

    listen: Annotated[str, _doc("HOST:PORT to listen on; port 0 takes a free one.")] = "127.0.0.1:8025"
    max_size: Annotated[int, _doc("Largest message, in bytes (SIZE of RFC 1870).", ge=1024)] = 25_000_000
    max_recipients: Annotated[int, _doc("Recipients of one message.", ge=1)] = 100
    max_connections: Annotated[int, _doc("Connections at a time; one more is answered 421.", ge=1)] = 200
    max_received: Annotated[int, _doc("Received fields before a message is taken for looping.", ge=1)] = 30
    timeout: Annotated[int, _doc("Seconds without a byte before a connection is closed.", ge=1)] = 300


class DeliverySettings(Part, frozen=True):
    """The smart host that carries mail out."""

    host: Annotated[str, _doc("Name of the smart host; empty: mail is written to `maildir` instead.")] = ""
    port: Annotated[int, _doc("Port of the smart host.", ge=1, le=65535)] = 25
    tls: Annotated[
        Literal["none", "starttls", "tls"],
        _doc("none; starttls (upgraded, certificate checked); tls (from the first byte, certificate checked)."),
    ] = "none"
    user: Annotated[str, _doc("User name at the smart host; empty: no sign-in.")] = ""
    password_file: Annotated[str, _doc("File whose first line is the password of `user`.")] = ""
    connections: Annotated[int, _doc("Connections to the smart host at a time.", ge=1, le=100)] = 2
    recipients: Annotated[int, _doc("Recipients of one transaction.", ge=1, le=1000)] = 100
    timeout: Annotated[int, _doc("Seconds to wait for an answer of the smart host.", ge=1)] = 120
    give_up_after: Annotated[int, _doc("Hours of temporary failures before a delivery has failed.", ge=1)] = 120
    maildir: Annotated[str, _doc("Maildir for mail out where no host is set, relative to data_dir.")] = "outbox"


class WebSettings(Part, frozen=True):
    """The pages."""

    listen: Annotated[str, _doc("HOST:PORT of the web pages; port 0 takes a free one.")] = "127.0.0.1:8080"


class LimitSettings(Part, frozen=True):
    """Bounds on what one message may ask of the parser; past them it is kept and held, with the reason."""

    header_bytes: Annotated[int, _doc("Header block, in bytes.", ge=1024)] = 262_144
    field_bytes: Annotated[int, _doc("One header field, in bytes.", ge=998)] = 65_536
    fields: Annotated[int, _doc("Header fields.", ge=10)] = 1_000
    parts: Annotated[int, _doc("MIME parts.", ge=1)] = 1_000
    depth: Annotated[int, _doc("MIME nesting.", ge=1)] = 50
    references: Annotated[int, _doc("References that are used, the last ones.", ge=1)] = 100
    text_bytes: Annotated[int, _doc("Text of a post that is shown and indexed, in characters.", ge=1024)] = 1_000_000
    parse_seconds: Annotated[int, _doc("CPU seconds to parse one message.", ge=1)] = 10
    parse_megabytes: Annotated[int, _doc("Memory of the parser, in MB.", ge=128)] = 512


class Settings(Part, frozen=True):
    """All settings of a site."""

    site: SiteSettings = SiteSettings()
    database: DatabaseSettings = DatabaseSettings()
    smtp: SmtpSettings = SmtpSettings()
    delivery: DeliverySettings = DeliverySettings()
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()

    def path(self, name: str) -> Path:
        """A path of the settings, relative to data_dir."""
        return Path(self.site.data_dir) / name


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the settings, as the docs show it."""

    table: str
    name: str
    default: Any
    doc: str


def tables() -> dict[str, type[Part]]:
    """The tables of the settings file, in their order."""
    return {name: typing.cast("type[Part]", kind) for name, kind in typing.get_type_hints(Settings).items()}


def keys() -> Iterator[Key]:
    """Every key with its default and its line of docs, in the order of the file."""
    for table, kind in tables().items():
        hints = typing.get_type_hints(kind, include_extras=True)
        for name, default in msgspec.structs.asdict(kind()).items():
            meta = next(item for item in typing.get_args(hints[name]) if isinstance(item, msgspec.Meta))
            yield Key(table=table, name=name, default=default, doc=meta.description or "")


def example(site: Mapping[str, Any] | None = None) -> str:
    """The text of `config.example.toml`: every key with its docs and its default, or what `site` has for it."""
    lines = ["# Settings of Tidings. Every key may be left out; what stands here is its default."]
    table = ""
    for key in keys():
        if key.table != table:
            table = key.table
            lines += ["", f"# {tables()[table].__doc__}", f"[{table}]"]
        value = (site or {}).get(key.name, key.default) if table == "site" else key.default
        lines += [f"# {key.doc}", f"{key.name} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return msgspec.json.encode(value).decode()  # JSON and TOML spell these types alike


def load(path: Path) -> Settings:
    """The settings in the TOML file `path`; data_dir is taken relative to the file.

    Raises SettingsError, which names the key and says what to write.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"Cannot read the settings {path}: {error.strerror}. Make them with `tidings init`."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not TOML: it is not UTF-8 (byte {error.start}).") from error
    settings = parse(text, str(path))
    data_dir = path.parent / settings.site.data_dir
    return msgspec.structs.replace(settings, site=msgspec.structs.replace(settings.site, data_dir=str(data_dir)))


def parse(text: str, name: str = "settings") -> Settings:
    """The settings in a TOML text; `name` is what errors call it. Raises SettingsError."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {_explained(str(error))}") from error
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", settings.site.domain):
        raise SettingsError(f"{name}: site.domain {settings.site.domain!r} is no domain name in lower case.")
    try:
        zone(settings.site.zone)
    except UsageError as error:
        raise SettingsError(f"{name}: site.zone: {error}") from error
    return settings


def _explained(message: str) -> str:
    """msgspec's message, with the nearest known name where a key is unknown."""
    unknown = re.match(r"Object contains unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
    if not unknown:
        return message.replace("`$.", "`") + "."
    key, table = unknown[1], unknown[2] or ""
    known = list(tables()[table].__struct_fields__ if table else Settings.__struct_fields__)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    place = f"[{table}]" if table else "the file"
    return f"unknown key {key!r} in {place}; did you mean {nearest!r}?"


def host_port(listen: str) -> tuple[str, int]:
    """HOST:PORT as a pair; an IPv6 host stands in brackets. Raises SettingsError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{listen!r} is no HOST:PORT; write one like 127.0.0.1:8025.")
    return host.strip("[]"), int(port)
