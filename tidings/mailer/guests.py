"""Who may be connected to the listener, from where, how often; and who guesses at tokens.

It counts and answers; refusing is for others. Nothing of it outlives the process.
"""

import ipaddress
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from tidings.errors import SettingsError
from tidings.settings import SmtpSettings

_IPv6_HOME = 64  # bits of an IPv6 address that its owner was given; the others are the owner's to choose
_REMEMBERED = 10_000  # who guessed: more than that at a time are a crowd, not a person
_WINDOW = timedelta(hours=1)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """Some networks: `peer in networks` for the text of an address."""

    def __init__(self, names: Sequence[str], key: str) -> None:
        """`names` are addresses or networks. Raises SettingsError, which names the setting `key`."""
        self._networks = [_network(name, key) for name in names]

    def __contains__(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def _network(name: str, key: str) -> _Network:
    try:
        return ipaddress.ip_network(name, strict=False)
    except ValueError as error:
        raise SettingsError(f"{key}: {name!r} is no address or network; write one like 192.0.2.0/24.") from error


def _address(peer: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])  # without the zone of a link-local one
    except ValueError:
        return None
    # An IPv4 client of an IPv6 socket.
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


@lru_cache(maxsize=1_000)
def home(peer: str) -> str:
    """What is counted for one: the IPv4 address, or the network that an IPv6 address lies in."""
    address = _address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPv6_HOME), strict=False))
    return peer if address is None else str(address)


class Guests:
    """How many are connected, in all and from each place."""

    def __init__(self, settings: SmtpSettings) -> None:
        """Raises SettingsError where `trusted` names no network."""
        self._trusted = Networks(settings.trusted, "smtp.trusted")
        self._most, self._most_of_one = settings.max_connections, settings.max_per_address
        self._here: Counter[str] = Counter()

    def trusts(self, peer: str) -> bool:
        """Whether that is one of our own servers in front."""
        return peer in self._trusted

    @property
    def full(self) -> bool:
        """Whether nobody else may come."""
        return self._here.total() >= self._most

    def too_many(self, peer: str) -> bool:
        """Whether nobody else may come from there."""
        return self._here[home(peer)] >= self._most_of_one and not self.trusts(peer)

    def come(self, peer: str) -> None:
        """Count one more."""
        self._here[home(peer)] += 1

    def go(self, peer: str) -> None:
        """Count one less."""
        place = home(peer)
        self._here[place] -= 1
        if not self._here[place]:
            del self._here[place]


class Guesses:
    """Wrong tokens of an hour, by whoever tried them."""

    def __init__(self, most: int) -> None:
        """`most` may be tried."""
        self._most = most
        self._tried: dict[str, tuple[datetime, int]] = {}

    def spent(self, who: str, now: datetime) -> bool:
        """Whether `who` has no more to try."""
        since, many = self._tried.get(who, (now, 0))
        return many >= self._most and now - since < _WINDOW

    def add(self, who: str, now: datetime) -> None:
        """Count a wrong token; the hour begins with the first."""
        since, many = self._tried.pop(who, (now, 0))
        self._tried[who] = (since, many + 1) if now - since < _WINDOW else (now, 1)
        if len(self._tried) > _REMEMBERED:
            del self._tried[next(iter(self._tried))]  # the one who has not tried for the longest
