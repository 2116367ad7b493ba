"""Cuts an edition to what is read in a break and not clipped by mail programs: conversations first, the last ones.

What an item takes is measured by others. What concerns the reader, meetings, results and open questions are never cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import msgspec

from tidings.digests import telling
from tidings.digests.fragments import Conversation, Heading
from tidings.digests.stored import Entry
from tidings.mailer import compose

WORD_LIMIT = 900
"""Words of an edition that members' own sentences make: what is read in a break."""

Weigh = Callable[[Entry], tuple[int, int]]
"""What an item weighs in the HTML part (mailer.compose.weigh)."""


class Cut:
    """A section that may become shorter; one that is `whole` never does.

    `told` and `titled` are how many conversations and titles it still has: the first ones of each.
    """

    def __init__(
        self, heading: Heading, entries: Sequence[Entry], *, whole: bool, weigh: Weigh, keeps_numbers: bool = False
    ) -> None:
        """`keeps_numbers`: of posts that are only counted, where the mail has the posts in it."""
        self._heading, self._weigh, self._keeps_numbers = heading, weigh, keeps_numbers
        by_block: dict[str, list[Entry]] = {"conversation": [], "title": [], "": []}
        for entry in entries:
            by_block[entry.block if entry.block in by_block and not whole else ""].append(entry)
        self._kept, self._conversations, self._titles = by_block[""], by_block["conversation"], by_block["title"]
        self.told, self.titled = len(self._conversations), len(self._titles)
        self.words = 0 if whole else sum([telling.words(entry.fragment) for entry in entries])

    @property
    def is_cut(self) -> bool:
        """Whether anything is told shorter than it was."""
        return self.told < len(self._conversations) or self.titled < len(self._titles)

    @property
    def entries(self) -> list[Entry]:
        """What the section has now."""
        titles = [*map(_as_title, self._conversations[self.told :]), *self._titles]
        return [*self._kept, *self._conversations[: self.told], *titles[: self.titled]]

    @property
    def heading(self) -> Heading:
        """Its heading, which counts what is not even titled."""
        left_out = [*self._conversations[self.told :], *self._titles][self.titled :]
        if not left_out:
            return self._heading
        numbers = [number for entry in reversed(left_out) for number in getattr(entry.fragment, "numbers", ())]
        return replace(
            self._heading,
            more_threads=self._heading.more_threads + len(left_out),
            more_posts=self._heading.more_posts + len(numbers),
            more_numbers=(*self._heading.more_numbers, *(numbers if self._keeps_numbers else ())),
        )

    @property
    def weight(self) -> tuple[int, int]:
        """What its items weigh."""
        weights = [self._weigh(entry) for entry in self.entries]
        return sum([length for length, _ in weights]), sum([escaped for _, escaped in weights])

    def shorten(self) -> None:
        """Tell the last conversation by its title, or where there is none any more, only count the last title."""
        if not self.told:
            self.titled -= 1
            return
        self.told, self.titled = self.told - 1, self.titled + 1
        self.words -= telling.words(self._conversations[self.told].fragment)


@lru_cache(maxsize=4_096)
def _as_title(entry: Entry) -> Entry:
    """A conversation of which only the title is told."""
    assert isinstance(entry.fragment, Conversation)
    return msgspec.structs.replace(entry, block="title", fragment=telling.as_title(entry.fragment))


def cut_words(sections: Sequence[Cut]) -> None:
    """Shorten the sections until they have WORD_LIMIT words, or have no conversation that could be cut."""
    words = sum([one.words for one in sections])
    while words > WORD_LIMIT and (longest := _longest(sections)) and longest.told:
        words -= longest.words
        longest.shorten()
        words += longest.words


def cut_bytes(sections: Sequence[Cut], frame: tuple[int, int], most: int) -> bool:
    """Shorten them until they have with their `frame` `most` bytes when encoded; returns whether any was shortened.

    Where nothing more can be cut, it stays longer.
    """
    length, escaped = (sum(weights) for weights in zip(frame, *(one.weight for one in sections), strict=True))
    is_cut = False
    while compose.encoded_length(length, escaped) > most and (longest := _longest(sections)):
        before, before_escaped = longest.weight
        longest.shorten()
        after, after_escaped = longest.weight
        length, escaped, is_cut = length + after - before, escaped + after_escaped - before_escaped, True
    return is_cut


def _longest(sections: Sequence[Cut]) -> Cut | None:
    """The last of the sections with most conversations, or where none has any, with most titles; None: all are cut."""
    told = max([one.told for one in sections])
    if told:
        return [one for one in sections if one.told == told][-1]
    titled = max([one.titled for one in sections])
    return [one for one in sections if one.titled == titled][-1] if titled else None
