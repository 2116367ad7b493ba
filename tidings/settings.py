"""The settings: one TOML file, every key typed, with a default and a line of docs.

`config.example.toml` and docs/settings.md are generated from the docs here. Nothing is read from here at run time but
through the `Settings` value that is passed in.
"""

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from tidings.clock import zone
from tidings.errors import SettingsError, UsageError


def _doc(text: str, ge: int | None = None, le: int | None = None) -> msgspec.Meta:
    return msgspec.Meta(description=text, ge=ge, le=le)


LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""What this machine is called by itself."""

_SmartHostTls = Annotated[
    Literal["none", "try", "starttls", "tls"],
    _doc(
        "tls (from the first byte); starttls (required, or nothing is sent); try (STARTTLS where it is offered, else "
        "in the clear); none. Certificates are checked."
    ),
]


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
    separator: Annotated[
        Literal["+", "-"],
        _doc("Between a community's name and what follows it in the addresses that are handed out; both are read."),
    ] = "+"
    demo: Annotated[bool, _doc("A made-up site whose clock may be pushed forward; never for a real one.")] = False


class DatabaseSettings(Part, frozen=True):
    """Where everything but mail on its way is kept."""

    url: Annotated[
        str, _doc("sqlite:///FILE (relative to data_dir) or postgresql+psycopg://USER:PASSWORD@HOST/NAME.")
    ] = "sqlite:///tidings.db"


class SmtpSettings(Part, frozen=True):
    """The listener for mail that comes in."""

    listen: Annotated[str, _doc("HOST:PORT to listen on; port 0 takes a free one.")] = "127.0.0.1:8025"
    protocol: Annotated[
        Literal["smtp", "lmtp"],
        _doc("smtp, or lmtp for a mail server in front (RFC 2033: a reply for each recipient)."),
    ] = "smtp"
    tls_cert_file: Annotated[
        str, _doc("Certificate chain for STARTTLS, PEM, relative to data_dir; empty: not offered.")
    ] = ""
    tls_key_file: Annotated[str, _doc("Key of the certificate; empty: it is in tls_cert_file.")] = ""
    trusted: Annotated[
        list[str],
        _doc("Addresses or networks of mail servers in front: no limit per address, and their results are believed."),
    ] = []
    authserv_id: Annotated[
        str,
        _doc("Name in the Authentication-Results fields of the trusted servers (RFC 8601); empty: we check DKIM."),
    ] = ""
    line_ends: Annotated[
        Literal["refuse", "normalise"],
        _doc("Bare CR and LF from a trusted server: refused, or made CR LF before the message is stored."),
    ] = "refuse"
    max_size: Annotated[int, _doc("Largest message, in bytes (SIZE of RFC 1870).", ge=1024)] = 25_000_000
    max_recipients: Annotated[int, _doc("Recipients of one message.", ge=1)] = 100
    max_connections: Annotated[int, _doc("Connections at a time; one more is answered 421.", ge=1)] = 200
    max_per_address: Annotated[int, _doc("Connections of one address at a time, trusted ones excepted.", ge=1)] = 20
    max_errors: Annotated[int, _doc("Refused commands before a connection is closed.", ge=1)] = 20
    max_idle_commands: Annotated[int, _doc("NOOP, VRFY and RSET before a connection is closed.", ge=1)] = 100
    max_command: Annotated[int, _doc("Longest command line, in octets.", ge=512)] = 2_048
    max_line: Annotated[int, _doc("Longest line of a message, in octets.", ge=998)] = 65_536
    big_message: Annotated[int, _doc("From how many bytes on a message is big.", ge=1024)] = 1_000_000
    max_big: Annotated[int, _doc("Big messages at a time; one more waits for its turn.", ge=1)] = 4
    max_guesses: Annotated[
        int, _doc("Wrong tokens an hour from one address or sender before it is sent away.", ge=1)
    ] = 20
    max_received: Annotated[int, _doc("Received fields before a message is taken for looping.", ge=1)] = 30
    timeout: Annotated[int, _doc("Seconds without a byte before a connection is closed.", ge=1)] = 300


class ImapSettings(Part, frozen=True):
    """A mailbox that mail is fetched from; there may be several, each under a [[imap]] of its own."""

    host: Annotated[str, _doc("Name of the IMAP server.")] = ""
    port: Annotated[int, _doc("Port of the IMAP server.", ge=1, le=65535)] = 993
    tls: Annotated[
        Literal["none", "starttls", "tls"],
        _doc("tls (from the first byte, certificate checked); starttls (upgraded, certificate checked); none."),
    ] = "tls"
    user: Annotated[str, _doc("User name at the IMAP server.")] = ""
    password_file: Annotated[str, _doc("File whose first line is the password, relative to data_dir.")] = ""
    folder: Annotated[str, _doc("Folder to read.")] = "INBOX"
    move_to: Annotated[
        str, _doc("Folder that messages are moved to once they are on our disk; empty: they stay, marked as seen.")
    ] = ""
    community: Annotated[
        str, _doc("Name of the community that all of its mail is for; empty: the message's addresses say.")
    ] = ""
    recipient_headers: Annotated[
        list[str], _doc("Fields that tell whom a message was delivered to; To and Cc are asked after them.")
    ] = msgspec.field(default_factory=lambda: ["Delivered-To", "X-Original-To"])
    poll: Annotated[int, _doc("Seconds between looks where the server has no IDLE.", ge=1)] = 60


class DeliverySettings(Part, frozen=True):
    """The smart host that carries mail out, and what holds for those of every [[route]] too."""

    host: Annotated[str, _doc("Name of the smart host; empty: mail is written to `maildir` instead.")] = ""
    port: Annotated[int, _doc("Port of the smart host.", ge=1, le=65535)] = 25
    tls: _SmartHostTls = "none"
    user: Annotated[str, _doc("User name at the smart host; empty: no sign-in. With `try` only on this machine.")] = ""
    password_file: Annotated[str, _doc("File whose first line is the password of `user`.")] = ""
    connections: Annotated[int, _doc("Connections to the smart host at a time.", ge=1, le=100)] = 2
    recipients: Annotated[int, _doc("Letters claimed for one connection at a time.", ge=1, le=1000)] = 100
    timeout: Annotated[int, _doc("Seconds to wait for an answer of the smart host.", ge=1)] = 120
    give_up_after: Annotated[int, _doc("Hours of temporary failures before a delivery has failed.", ge=1)] = 120
    maildir: Annotated[str, _doc("Maildir for mail out where no host is set, relative to data_dir.")] = "outbox"


class RouteSettings(Part, frozen=True):
    """A smart host that carries mail to some domains; there may be several, each under a [[route]] of its own."""

    name: Annotated[str, _doc("What `tidings queue` calls it: lower-case letters, digits and hyphens.")] = ""
    domains: Annotated[
        list[str], _doc("Domains of recipients, in lower case, each as it is: a.example.org is not in example.org.")
    ] = []
    host: Annotated[str, _doc("Name of its smart host.")] = ""
    port: Annotated[int, _doc("Port of its smart host.", ge=1, le=65535)] = 25
    tls: _SmartHostTls = "none"
    user: Annotated[
        str,
        _doc("User name there; empty: no sign-in. With `try` and `none` only on this machine."),
    ] = ""
    password_file: Annotated[str, _doc("File whose first line is the password of `user`.")] = ""
    connections: Annotated[int, _doc("Connections to its smart host at a time.", ge=1, le=100)] = 2


class DkimSettings(Part, frozen=True):
    """The key that signs mail that goes out; the DNS has its public half."""

    domain: Annotated[str, _doc("Domain that signs (d=); empty: site.domain.")] = ""
    selector: Annotated[str, _doc("Name of the key: its record stands at SELECTOR._domainkey.DOMAIN.")] = "tidings"
    key_file: Annotated[str, _doc("RSA key in PEM, 2,048 bits or more, relative to data_dir; empty: not signed.")] = ""


class WebSettings(Part, frozen=True):
    """The pages."""

    listen: Annotated[str, _doc("HOST:PORT of the web pages; port 0 takes a free one.")] = "127.0.0.1:8080"


class SummarySettings(Part, frozen=True):
    """In whose words digests tell of long conversations (docs/summaries.md)."""

    provider: Annotated[
        Literal["extractive", "openai"],
        _doc("extractive: sentences of the members; openai: a language model, whose words are marked as such."),
    ] = "extractive"
    url: Annotated[
        str,
        _doc("What the paths of an OpenAI-compatible API begin with: https://HOST/v1; http only on this machine."),
    ] = ""
    model: Annotated[str, _doc("Name of the model at that URL.")] = ""
    key_file: Annotated[
        str, _doc("File whose first line is the key for it, relative to data_dir; empty: it needs none.")
    ] = ""
    timeout: Annotated[
        int, _doc("Seconds to wait for an answer before the members' sentences are taken.", ge=1, le=60)
    ] = 20


class BounceSettings(Part, frozen=True):
    """When mail to an address that keeps coming back is stopped."""

    stop_at: Annotated[
        int, _doc("Score that stops mail to an address: 4 for a day of permanent failures, 1 for temporary ones.", ge=1)
    ] = 12
    days: Annotated[int, _doc("How many days back a day of failures counts.", ge=1)] = 35
    probes: Annotated[int, _doc("Mails that ask a stopped address whether it works again.", ge=0)] = 3
    probe_days: Annotated[int, _doc("Days between these mails.", ge=1)] = 7
    wave_percent: Annotated[
        int, _doc("Share of a day's recipients that fail at once before the fault is taken for ours.", ge=1, le=100)
    ] = 20
    wave_least: Annotated[int, _doc("Least number of addresses that make such a wave.", ge=2)] = 10


class LimitSettings(Part, frozen=True):
    """Bounds on what one message may ask of the parser; past them it is kept and held, with the reason."""

    header_bytes: Annotated[int, _doc("Header block, in bytes.", ge=1024)] = 262_144
    field_bytes: Annotated[int, _doc("One header field, in bytes.", ge=998)] = 65_536
    fields: Annotated[int, _doc("Header fields.", ge=10)] = 1_000
    parts: Annotated[int, _doc("MIME parts.", ge=1)] = 1_000
    depth: Annotated[int, _doc("MIME nesting.", ge=1)] = 50
    references: Annotated[int, _doc("References that are used, the last ones.", ge=1)] = 100
    text_bytes: Annotated[int, _doc("Text of a post that is shown and indexed, in characters.", ge=1024)] = 1_000_000
    notices_per_day: Annotated[
        int, _doc("Notices to one address a day that anybody might have asked for in its name.", ge=1)
    ] = 5
    storm_posts: Annotated[int, _doc("Posts in one thread within `storm_minutes` before more are held.", ge=2)] = 40
    storm_minutes: Annotated[int, _doc("Minutes over which the posts of a thread are counted.", ge=1)] = 10
    parse_seconds: Annotated[int, _doc("CPU seconds to parse one message.", ge=1)] = 10
    parse_megabytes: Annotated[int, _doc("Memory of the parser, in MB.", ge=128)] = 512


class Settings(Part, frozen=True):
    """All settings of a site."""

    site: SiteSettings = SiteSettings()
    database: DatabaseSettings = DatabaseSettings()
    smtp: SmtpSettings = SmtpSettings()
    imap: list[ImapSettings] = []
    delivery: DeliverySettings = DeliverySettings()
    route: list[RouteSettings] = []
    dkim: DkimSettings = DkimSettings()
    web: WebSettings = WebSettings()
    summary: SummarySettings = SummarySettings()
    bounces: BounceSettings = BounceSettings()
    limits: LimitSettings = LimitSettings()

    def path(self, name: str) -> Path:
        """A path of the settings, relative to data_dir."""
        return Path(self.site.data_dir) / name

    def secret(self, key: str, name: str) -> str:
        """The first line of the file that the setting `key` names. Raises SettingsError."""
        path = self.path(name)
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SettingsError(f"Cannot read {key} {path}: {why}.") from error


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the settings file; of one that is `repeated`, a file may hold any number."""

    name: str
    kind: type[Part]
    repeated: bool

    @property
    def heading(self) -> str:
        """As it stands in the file."""
        return f"[[{self.name}]]" if self.repeated else f"[{self.name}]"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the settings, as the docs show it."""

    table: str
    name: str
    default: Any
    doc: str


def tables() -> dict[str, Table]:
    """The tables of the settings file, in their order."""
    found = {}
    for name, hint in typing.get_type_hints(Settings).items():
        inner = typing.get_args(hint)  # of list[...]
        found[name] = Table(name=name, kind=inner[0] if inner else hint, repeated=bool(inner))
    return found


def keys() -> Iterator[Key]:
    """Every key with its default and its line of docs, in the order of the file."""
    for table in tables().values():
        hints = typing.get_type_hints(table.kind, include_extras=True)
        for name, default in msgspec.structs.asdict(table.kind()).items():
            meta = next(item for item in typing.get_args(hints[name]) if isinstance(item, msgspec.Meta))
            yield Key(table=table.name, name=name, default=default, doc=meta.description or "")


def example(site: Mapping[str, Any] | None = None) -> str:
    """The text of `config.example.toml`: every key with its docs and its default, or what `site` has for it."""
    lines = ["# Settings of Tidings. Every key may be left out; what stands here is its default."]
    table = mark = ""
    for key in keys():
        if key.table != table:
            table = key.table
            found = tables()[table]
            # A table that may be repeated stands there as a comment: there is none by default.
            mark = "# " if found.repeated else ""
            lines += ["", f"# {found.kind.__doc__}", f"{mark}{found.heading}"]
        value = (site or {}).get(key.name, key.default) if table == "site" else key.default
        lines += [f"# {key.doc}", f"{mark}{key.name} = {_toml(value)}"]
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
    if trouble := next(chain(_trouble_with_hosts(settings), _trouble_with_model(settings.summary)), ""):
        raise SettingsError(f"{name}: {trouble}")
    return settings


def _trouble_with_hosts(settings: Settings) -> Iterator[str]:
    """What is wrong with the smart hosts, each said in a sentence."""
    delivery = settings.delivery
    # User and "none" were always taken together: who has them, behind a tunnel say, is not locked out by an update.
    if delivery.user and delivery.tls == "try" and delivery.host not in LOCAL_HOSTS:
        yield f'delivery.user would go to {delivery.host!r} in the clear; set delivery.tls to "starttls" or "tls".'
    names: set[str] = set()
    owners: dict[str, str] = {}
    for route in settings.route:
        if not re.fullmatch(r"[a-z0-9-]{1,64}", route.name) or route.name in names:
            yield f'route.name {route.name!r} is no name, or that of two routes; write one like "hospital".'
        names.add(route.name)
        yield from _trouble_with_route(route)
        for domain in route.domains:
            if owners.setdefault(domain, route.name) != route.name:
                yield f"{domain} stands in two routes, {owners[domain]} and {route.name}; take it out of one."


def _trouble_with_route(route: RouteSettings) -> Iterator[str]:
    if not route.host:
        yield f"route {route.name} has no host; set host to the name of its smart host."
    if not route.domains:
        yield f'route {route.name} has no domains; write them like domains = ["hospital.example"].'
    for domain in route.domains:
        if domain != domain.lower() or not re.fullmatch(r"[^\s@.]+(\.[^\s@.]+)*", domain) or len(domain) > 255:
            yield f"route {route.name}: {domain!r} is no domain name in lower case."
    if route.user and route.tls in ("none", "try") and route.host not in LOCAL_HOSTS:
        yield f'route {route.name}: user would go to {route.host!r} in the clear; set tls to "starttls" or "tls".'


def _trouble_with_model(summary: SummarySettings) -> Iterator[str]:
    if summary.provider == "extractive":
        return
    try:
        url = urlsplit(summary.url)
    except ValueError:  # brackets that hold no IPv6 address
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or re.search(r"[\s?#@]", summary.url):
        yield f"summary.url {summary.url!r} is no address of an API; write one like https://api.example.org/v1."
    elif url.scheme == "http" and url.hostname not in LOCAL_HOSTS:
        yield f"summary.url: what members wrote would go to {url.hostname!r} in the clear; write https."
    if not summary.model:
        yield "summary.model is empty; name a model of that API."


def _explained(message: str) -> str:
    """msgspec's message, with the nearest known name where a key is unknown."""
    unknown = re.match(r"Object contains unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
    if not unknown:
        return message.replace("`$.", "`") + "."
    key, table = unknown[1], unknown[2] or ""
    found = tables().get(table.partition("[")[0])
    known = list(found.kind.__struct_fields__ if found else Settings.__struct_fields__)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    place = found.heading if found else "the file"
    return f"unknown key {key!r} in {place}; did you mean {nearest!r}?"


def host_port(listen: str) -> tuple[str, int]:
    """HOST:PORT as a pair; an IPv6 host stands in brackets. Raises SettingsError."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{listen!r} is no HOST:PORT; write one like 127.0.0.1:8025.")
    return host.strip("[]"), int(port)
