"""Reads what calendars know the sessions of our meetings by (calendar.uid writes it)."""

import re
from dataclasses import dataclass
from datetime import date

_UID = re.compile(
    r"meeting\.(?P<community>[a-z0-9_]{1,24})\.(?P<series>[0-9]{1,9})"
    r"\.(?P<day>[0-9]{8})\.(?P<session>[0-9]{1,9})@(?P<domain>[a-z0-9.-]{1,253})"
)


@dataclass(frozen=True, kw_only=True)
class Named:
    """The session that a UID of ours stands for."""

    community: str
    series_id: int
    day: date
    session_id: int


def read(text: str, domain: str) -> Named | None:
    """The session that a UID of the site `domain` stands for; None where it is none of ours.

    The case of its letters does not matter: programs change it.
    """
    found = _UID.fullmatch(text.strip().lower())
    if found is None or found["domain"] != domain.lower():
        return None
    try:
        day = date.fromisoformat(found["day"])
    except ValueError:
        return None
    return Named(
        community=found["community"], series_id=int(found["series"]), day=day, session_id=int(found["session"])
    )
