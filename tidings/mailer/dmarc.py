"""What a domain asks receivers to do with mail in its name that does not prove itself (DMARC, RFC 7489).

It looks policies up and remembers them; what a copy says as its From is for others to decide.
"""

import re
import threading
from datetime import datetime, timedelta
from typing import Literal

from tidings.clock import Clock
from tidings.mailer.resolver import Dns

Policy = Literal["none", "quarantine", "reject"]

_KEPT = timedelta(hours=1)
_KEPT_UNKNOWN = timedelta(minutes=5)
_REMEMBERED = 10_000  # domains
_WALKED = 8  # labels at most: a hostile domain has up to 127
_POLICIES: tuple[Policy, ...] = ("none", "quarantine", "reject")


def policy(domain: str, dns: Dns) -> Policy:
    """The policy of a domain, its own or that of the nearest domain above it that has one.

    Parents are asked one by one in place of the list of public suffixes (RFC 7489 6.6.3). Raises TimeoutError where the
    DNS does not answer.
    """
    labels = domain.lower().rstrip(".").split(".")
    for start in range(max(0, len(labels) - _WALKED), len(labels) - 1):
        if tags := _record(dns.txt("_dmarc." + ".".join(labels[start:]))):
            asked = tags.get("p", "none") if start == 0 else tags.get("sp", tags.get("p", "none"))
            return next((one for one in _POLICIES if one == asked.lower()), "none")
    return "none"


def _record(records: list[bytes]) -> dict[str, str]:
    """The tags of the DMARC record among `records`; none where there is not exactly one (RFC 7489 6.6.3)."""
    texts = [record.decode("ascii", "replace") for record in records]
    found = [text for text in texts if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]
    if len(found) != 1:
        return {}
    pairs = (part.partition("=") for part in found[0].split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}


class Policies:
    """Remembers the policies of domains; for many threads."""

    def __init__(self, dns: Dns, clock: Clock) -> None:
        self._dns = dns
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[datetime, bool]] = {}  # until when, and whether it is strict

    def is_strict(self, domain: str) -> bool:
        """Whether mail in the domain's name from another server is likely to be refused or put aside.

        Also where the DNS does not answer: a copy whose From was changed without need still arrives.
        """
        now = self._clock.now()
        kept = self._kept.get(domain)
        if kept is None or kept[0] <= now:
            kept = self._look_up(domain, now)
            with self._lock:
                if len(self._kept) >= _REMEMBERED:
                    self._kept.clear()
                self._kept[domain] = kept
        return kept[1]

    def _look_up(self, domain: str, now: datetime) -> tuple[datetime, bool]:
        try:
            return now + _KEPT, policy(domain, self._dns) != "none"
        except TimeoutError:
            return now + _KEPT_UNKNOWN, True
