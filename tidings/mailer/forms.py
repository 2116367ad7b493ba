"""A piece of a mail that is made once for many readers, with places for what is each one's own; pure.

Encoded, it stays so when it is filled: soft line breaks (RFC 2045 6.7) stand before and behind each place, so that
nothing has to be encoded again.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from tidings.mailer import compose

_BREAKS = 2 * len("=\r\n")  # around a place


class Form:
    """What is the same for all, and `places` between, each known by the mark that stood there."""

    def __init__(self, text: str, marks: re.Pattern[str], lengths: Mapping[str, int]) -> None:
        """`marks` (one group) finds the places of a text; `lengths` says what a value is at most, 0 where it is not."""
        pieces = marks.split(text)
        self._texts, self.places = pieces[::2], pieces[1::2]
        self._lengths = lengths

    def filled(self, values: Iterable[str]) -> str:
        """The piece with a value in each place."""
        pieces = self._texts * 2
        pieces[::2], pieces[1::2] = self._texts, [*values, ""]
        return "".join(pieces)

    def quoted(self, values: Iterable[bytes]) -> bytes:
        """The piece in quoted-printable with values of `compose.quoted` or `compose.quoted_word` in its places."""
        pieces = self._quoted * 2
        pieces[::2], pieces[1::2] = self._quoted, [*values, b""]
        return b"".join(pieces)

    @cached_property
    def _quoted(self) -> list[bytes]:
        return [compose.quoted(text) for text in self._texts]

    @cached_property
    def weight(self) -> tuple[int, int]:
        """What it weighs (compose.weigh) when it is encoded and filled with plain ASCII."""
        length, escaped = compose.weigh("".join(self._texts))
        return length + sum(_BREAKS + self._lengths.get(place, 0) for place in self.places), escaped
