"""What the periods of a community follow: its digests, the quiet hours of its members, or its meetings.

The names stand in the database (`period.rhythm`) and in the headings of editions; it knows nothing else of them.
"""

from typing import Literal

Digest = Literal["weekly", "daily"]

DIGESTS: tuple[Digest, ...] = ("weekly", "daily")

HELD: Literal["each"] = "each"
"""Of what quiet hours held for who gets each post."""

AGENDA: Literal["agenda"] = "agenda"

REMINDER: Literal["remind"] = "remind"
"""Of roles in meetings to come, and of actions."""

OF_MEETINGS = (AGENDA, REMINDER)
