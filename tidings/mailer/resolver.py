"""Look-ups in the DNS: text records, which both ways of the mailer need, and mail hosts; kept as long as they say.

It reads no record.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

from dns.exception import DNSException
from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.txtbase import TXTBase
from dns.resolver import NXDOMAIN, LRUCache, NoAnswer, Resolver

_DNS_SECONDS = 5.0
_DNS_CACHED = 1_000  # answers, as long as their TTLs allow


class Dns(Protocol):
    """Where records are looked up."""

    def txt(self, name: str) -> list[bytes]:
        """The TXT records of `name`, the strings of each joined; none where it has none.

        Raises TimeoutError where no server answers in time.
        """
        ...

    def mx(self, name: str) -> list[str]:
        """The hosts that take mail for `name`, without a dot at the end, those to be tried first in front.

        None where `name` has no MX record; an empty host stands for "takes no mail" (RFC 7505). Raises TimeoutError
        where no server answers in time.
        """
        ...


class SystemDns:
    """The resolvers of this machine; an answer is kept as long as it says."""

    def __init__(self, make_resolver: Callable[[], Resolver] = Resolver, seconds: float = _DNS_SECONDS) -> None:
        """`make_resolver` reads which servers to ask; `seconds` is for all tries of one question together."""
        self._make_resolver = make_resolver
        self._seconds = seconds

    @cached_property  # when first needed: a machine without resolvers runs a site too
    def _resolver(self) -> Resolver:
        resolver = self._make_resolver()
        resolver.lifetime = self._seconds
        resolver.cache = LRUCache(_DNS_CACHED)
        return resolver

    def txt(self, name: str) -> list[bytes]:
        """See Dns."""
        return [b"".join(record.strings) for record in self._records(name, "TXT") if isinstance(record, TXTBase)]

    def mx(self, name: str) -> list[str]:
        """See Dns."""
        found = [record for record in self._records(name, "MX") if isinstance(record, MX)]
        return [one.exchange.to_text().rstrip(".") for one in sorted(found, key=_preference)]

    def _records(self, name: str, kind: str) -> list[Rdata]:
        try:
            return list(self._resolver.resolve(f"{name}.", kind))
        except (NXDOMAIN, NoAnswer):
            return []
        except (DNSException, OSError) as error:
            raise TimeoutError(f"no answer for {name}: {error}") from error


def _preference(record: MX) -> int:
    return int(record.preference)  # RFC 5321 5.1: the lowest first
