"""A piece of a mail that is made once for many readers, with places for what is each one's own; pure.

Encoded, it stays so when it is filled: soft line breaks (RFC 2045 6.7) stand before and behind each place, so that
nothing has to be encoded again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import AnyStr

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

    def holding(self, inside: Sequence["Form | None"]) -> "Form":
        """The same with another form in each place, or where that is None with the place as it was."""
        return _Holding(self, inside)

    @cached_property
    def _quoted(self) -> list[bytes]:
        return [compose.quoted(text) for text in self._texts]

    @cached_property
    def weight(self) -> tuple[int, int]:
        """What it weighs (compose.weigh) when it is encoded and filled with plain ASCII."""
        length, escaped = compose.weigh("".join(self._texts))
        return length + sum(_BREAKS + self._lengths.get(place, 0) for place in self.places), escaped


class _Holding(Form):
    """A form with others in some of its places; what they had encoded is not encoded again."""

    def __init__(self, frame: Form, inside: Sequence[Form | None]) -> None:
        self._frame, self._inside, self._lengths = frame, inside, frame._lengths
        self._texts = _spliced(frame._texts, [one._texts if one else None for one in inside])
        kept = [[place] if one is None else one.places for place, one in zip(frame.places, inside, strict=True)]
        self.places = [place for places in kept for place in places]

    @cached_property
    def _quoted(self) -> list[bytes]:
        return _spliced(self._frame._quoted, [one._quoted if one else None for one in self._inside])


def _spliced(pieces: Sequence[AnyStr], inside: Iterable[Sequence[AnyStr] | None]) -> list[AnyStr]:
    """The pieces around places, with the pieces of what stands in some of these joined to those next to them."""
    runs = [[pieces[0]]]
    for within, behind in zip(inside, pieces[1:], strict=True):
        if within is None:
            runs.append([behind])
        else:
            runs[-1].append(within[0])
            runs += [[piece] for piece in within[1:]]
            runs[-1].append(behind)
    return [run[0][:0].join(run) for run in runs]
