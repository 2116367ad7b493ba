"""The addresses of a community, written and read: NAME, NAME+detail, the older NAME-detail, and what is ours of ids.

It looks nothing up: whether a community exists, or a token is good, is for others to say.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol
from urllib.parse import quote

from tidings.settings import SiteSettings

Purpose = Literal[
    "post", "owner", "subscribe", "unsubscribe", "help", "command", "agenda", "confirm", "reply", "bounce"
]

EDITION_PREFIX = "edition."
_MEETING_PREFIXES = ("meeting.", "topic.")  # as digests.meetings.agenda writes them
# Names and tokens have no other characters; a look-alike that lower() turns into ASCII is no address of ours.
_PLAIN_LOCAL = re.compile(r"[a-z0-9_.+-]+")
# The second spelling of some is that of older lists, where it stands behind a hyphen (pump-request).
_DETAILS: dict[str, Purpose] = {
    "": "post",
    "owner": "owner",
    "subscribe": "subscribe",
    "join": "subscribe",
    "unsubscribe": "unsubscribe",
    "leave": "unsubscribe",
    "help": "help",
    "command": "command",
    "request": "command",
    "agenda": "agenda",
}
_WITH_TOKEN: dict[str, Purpose] = {"confirm": "confirm", "r": "reply", "b": "bounce"}
# As long as those that tidings.tokens makes, and some more: nobody's own name ends in +b. and so many letters.
_LETTERS = "[a-z2-7]{20,60}+"


class Named(Protocol):
    """Whatever has a community's name, and its own mail domain where it has one."""

    @property
    def name(self) -> str:
        """The local part of its address."""
        ...

    @property
    def domain(self) -> str | None:
        """Its own mail domain; None: the site's."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """An address of a community, taken apart; `token` is that of a reply, confirm or bounce address."""

    community: str
    domain: str
    purpose: Purpose
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class ListAddress:
    """Where one community is written to; `separator` stands before what follows its name."""

    name: str
    domain: str
    separator: str = "+"

    @property
    def post(self) -> str:
        """The address that posts: `pump@lists.example.org`."""
        return f"{self.name}@{self.domain}"

    @property
    def list_id(self) -> str:
        """What the List-Id field (RFC 2919) says in its brackets: `pump.lists.example.org`."""
        return f"{self.name}.{self.domain}"

    def detail(self, detail: str) -> str:
        """An address for something else: `pump+owner@lists.example.org`."""
        return f"{self.name}{self.separator}{detail}@{self.domain}"

    def token(self, kind: Literal["confirm", "r", "b"], token: str) -> str:
        """An address with a token: `pump+r.k3dq7x@lists.example.org`."""
        return self.detail(f"{kind}.{token}")


class Addresses:
    """Writes the addresses of the communities of one site."""

    def __init__(self, site: SiteSettings) -> None:
        self._site = site

    def of(self, community: Named) -> ListAddress:
        """The addresses of a community."""
        return self.named(community.name, community.domain)

    def named(self, name: str, domain: str | None) -> ListAddress:
        """The addresses of the community with that name, and that mail domain of its own or None."""
        return ListAddress(name=name, domain=domain or self._site.domain, separator=self._site.separator)


def post_page(base_url: str, community: str, message_id: str) -> str:
    """Where a post stands in the archive: the link that goes into mail, and that pages have too."""
    return f"{base_url.rstrip('/')}/c/{community}/m/{quote(message_id, safe='@')}/"


def read_recipient(address: str) -> Recipient | None:
    """What `address` (any case) would mean at its domain, or None where it has none of our forms.

    The community's name stops at the first `+` or `-`, which no name holds; what a site hands out has one of them, and
    both are read. Quoted local parts, source routes (RFC 5321 appendix C) and the percent hack mean nothing here.
    """
    local, at, host = address.strip().lower().rpartition("@")
    if not at or not host or not address.isascii() or not _PLAIN_LOCAL.fullmatch(local):
        return None
    name, *rest = re.split("[+-]", local, maxsplit=1)
    detail = rest[0] if rest else ""
    kind, dot, token = detail.partition(".")
    purpose = _WITH_TOKEN.get(kind) if dot else _DETAILS.get(detail)
    if purpose is None or (rest and not detail):
        return None
    return Recipient(community=name, domain=host.rstrip("."), purpose=purpose, token=token)


def without_tokens(data: bytes, domains: frozenset[str]) -> bytes:
    """`data` with NAME@DOMAIN for each NAME+r.TOKEN@DOMAIN (confirm and b too, any case) at one of the domains.

    Everything else stays byte for byte. Whether the token is good is not asked: one that is old says as much.
    """
    return _tokens_at(domains).sub(b"", data) if b"@" in data else data


@lru_cache(maxsize=1000)
def _tokens_at(domains: frozenset[str]) -> re.Pattern[bytes]:
    """What stands between the name and the domain; quoted local parts (RFC 5322 3.4.1) are found as well."""
    kinds, hosts = ("|".join(map(re.escape, sorted(words))) for words in (_WITH_TOKEN, domains))
    behind = rf'(?="?+@(?:{hosts})\.?+(?![a-z0-9-]))'
    return re.compile(rf"(?<=[a-z0-9_])[+-](?:{kinds})\.{_LETTERS}{behind}".encode(), re.IGNORECASE)


def host_of(address: str) -> str:
    """The domain of an address, in lower case and without a final dot."""
    return address.rpartition("@")[2].strip().lower().rstrip(".")


def is_edition_id(message_id: str, domain: str) -> bool:
    """Whether a bare Message-ID is that of one of our editions, which never is a node of a thread."""
    return message_id.startswith(EDITION_PREFIX) and message_id.lower().endswith("@" + domain)


def is_meeting_id(message_id: str, domain: str) -> bool:
    """Whether a bare Message-ID is one of ours that stands for a meeting or a topic, with which its thread begins."""
    return message_id.startswith(_MEETING_PREFIXES) and message_id.lower().endswith("@" + domain)
