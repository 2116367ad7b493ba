"""What editions that are composed at one moment have in common: weeks that were read, and what was made of them.

It holds for that moment and no longer; it chooses nothing and writes nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import TypeVar, cast

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.digests import gather, summaries, telling
from tidings.digests.fragments import Conversation, Title
from tidings.digests.week import Reader, Thread, Week

_WEEKS = 100  # kept at a time: most readers of a community have the same
_KEPT = 10_000
_LAYOUTS = 500

_Thing = TypeVar("_Thing")


class Weeks:
    """For the editions of one moment."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._communities: dict[int, Community] = {}
        self._weeks: OrderedDict[tuple[int, int, int], Week] = OrderedDict()
        self._made: OrderedDict[Hashable, object] = OrderedDict()
        self._layouts: OrderedDict[Hashable, object] = OrderedDict()

    def community(self, connection: Connection, community_id: int) -> Community:
        """The community with that id. Raises NotFoundError."""
        if community_id not in self._communities:
            self._communities[community_id] = directory.community_by_id(connection, community_id)
        return self._communities[community_id]

    def week(self, connection: Connection, community: Community, after: int, up_to: int) -> Week:
        """The archive numbers in (after, up_to]."""
        key = community.id, after, up_to
        if key not in self._weeks:
            of = community.id
            names = self.once((of, "names"), lambda: gather.names_of_members(connection, of))
            self._weeks[key] = gather.week(connection, community, after, up_to, self._now, names)
            if len(self._weeks) > _WEEKS:
                self._weeks.popitem(last=False)
        return self._weeks[key]

    def once(self, key: Hashable, make: Callable[[], _Thing]) -> _Thing:
        """What is the same for all who are told the same, which `key` must say: a fragment, or all that is told."""
        return _once(self._made, key, make, _KEPT)

    def layout(self, key: Hashable, make: Callable[[], _Thing]) -> _Thing:
        """As `once`, of what stands in a whole edition: few of these are kept, since each has dozens of items."""
        return _once(self._layouts, key, make, _LAYOUTS)

    def conversation(
        self, connection: Connection, community: Community, thread: Thread, reader: Reader, *, words: int, week: str
    ) -> Conversation:
        """A thread as it is told to all who wrote the same of its posts, or none."""
        return self.once(
            (*_of(community, thread, reader), words, week),
            lambda: telling.conversation(
                thread,
                reader,
                language=community.language,
                words=words,
                week=week,
                written=summaries.find(connection, community.id, thread) or "",
            ),
        )

    def title(self, community: Community, thread: Thread, reader: Reader) -> Title:
        """A thread as it is titled for all who wrote the same of its posts, or none."""
        return self.once(_of(community, thread, reader), lambda: telling.titled(thread, reader))


def _once(kept: OrderedDict[Hashable, object], key: Hashable, make: Callable[[], _Thing], most: int) -> _Thing:
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    return cast(_Thing, found)


def _of(community: Community, thread: Thread, reader: Reader) -> tuple[Hashable, ...]:
    """What tells apart those to whom a thread looks other: its new posts, and which of all that is told is theirs."""
    there = {post.author_key for post in thread.fresh} | {thread.opening_key}
    return community.id, "thread", tuple(post.number for post in thread.fresh), frozenset(there & reader.keys)
