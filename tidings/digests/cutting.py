"""Cuts an edition to what is read in a break and not clipped by mail programs: conversations first, the last ones.

What an item takes is measured by others. What concerns the reader, meetings, results and open questions are never cut.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from tidings.digests import telling
from tidings.digests.fragments import Conversation, Heading, Title
from tidings.digests.stored import Entry
from tidings.mailer import compose

WORD_LIMIT = 900
"""Words of an edition that members' own sentences make: what is read in a break."""

Weigh = Callable[[Entry], tuple[int, int]]
"""What an item weighs in the HTML part (mailer.compose.weigh)."""


class Cut:
    """A section that may become shorter; one that is `whole` never does."""

    def __init__(
        self, heading: Heading, entries: Sequence[Entry], *, whole: bool, weigh: Weigh, keeps_numbers: bool = False
    ) -> None:
        """`keeps_numbers`: of posts that are only counted, where the mail has the posts in it."""
        self.heading, self.entries = heading, list(entries)
        self._weigh = weigh
        self._keeps_numbers = keeps_numbers
        self.words = 0 if whole else sum(telling.words(entry.fragment) for entry in entries)
        self.weights = [weigh(entry) for entry in entries]
        self.counts = Counter() if whole else Counter(entry.block for entry in entries)  # of what may be cut
        self.is_cut = False

    def shorten(self, block: str) -> None:
        """Tell the last conversation by its title, or only count the last title."""
        place = max(place for place, entry in enumerate(self.entries) if entry.block == block)
        entry, self.is_cut = self.entries[place], True
        self.words -= telling.words(entry.fragment)
        self.counts[block] -= 1
        if isinstance(entry.fragment, Conversation):
            self.entries[place] = replace(entry, block="title", fragment=telling.as_title(entry.fragment))
            self.weights[place] = self._weigh(self.entries[place])
            self.counts["title"] += 1
            return
        assert isinstance(entry.fragment, Title)
        del self.entries[place], self.weights[place]
        numbers, heading = entry.fragment.numbers, self.heading
        self.heading = replace(
            heading,
            more_threads=heading.more_threads + 1,
            more_posts=heading.more_posts + len(numbers),
            more_numbers=(*heading.more_numbers, *(numbers if self._keeps_numbers else ())),
        )


def cut(sections: Sequence[Cut], frame: tuple[int, int], most: int) -> None:
    """Shorten the sections until they have WORD_LIMIT words, and with their `frame` `most` bytes when encoded.

    Where nothing more can be cut, it stays longer.
    """
    while sum(one.words for one in sections) > WORD_LIMIT and _shorten(sections, ("conversation",)):
        pass
    while _length(sections, frame) > most and _shorten(sections, ("conversation", "title")):
        pass


def _length(sections: Sequence[Cut], frame: tuple[int, int]) -> int:
    weights = [frame, *(weight for one in sections for weight in one.weights)]
    return compose.encoded_length(sum(length for length, _ in weights), sum(escaped for _, escaped in weights))


def _shorten(sections: Sequence[Cut], blocks: Sequence[str]) -> bool:
    """Cut one item of the first of the blocks that is left, in the last section of those with most of them."""
    for block in blocks:
        longest = max(range(len(sections)), key=lambda place: (sections[place].counts[block], place))
        if sections[longest].counts[block]:
            sections[longest].shorten(block)
            return True
    return False
