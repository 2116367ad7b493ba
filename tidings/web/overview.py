"""What the page of a thread says of it as a whole: its key sentences, and older threads that began alike.

Both cost more than the rest of the page. So it is remembered what they came to, for as long as what they came of is the
same: as numbers of posts, sentences and threads, in this process. Nobody's words stand in it, and what is shown of them
is read anew each time. It asks nobody who may read.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from sqlalchemy import Connection

from tidings.archive import read
from tidings.archive.read import ThreadPost
from tidings.archive.similar import Similar, begun, similar
from tidings.archive.summary import Said, key_sentences, looked_at, sentences_at
from tidings.communities.directory import Community

_SHORT_THREAD = 20  # posts up to which a thread's page says what was seen before
_LONG_THREAD = 6  # posts from which on a thread's key sentences stand above it
_KEY_SENTENCES = 3
_KEY_WORDS = 90
_KEPT = 5_000  # threads of which each is remembered; a few hundred bytes for one

_Numbers = tuple[tuple[int, ...], ...]


class Overviews:
    """What was found of threads, remembered; for any thread of the program."""

    def __init__(self) -> None:
        self._short = _Remembered()
        self._seen = _Remembered()

    def in_short(self, posts: Sequence[ThreadPost], language: str) -> list[tuple[ThreadPost, str]]:
        """The key sentences of a long thread, each with its post, at most one of a post; none of a short thread."""
        if len(posts) < _LONG_THREAD:
            return []
        by_number = {post.number: post for post in looked_at(sorted(posts, key=_when))}
        said = [Said(number=number, text=read.own_text(post)) for number, post in by_number.items()]

        def pick() -> _Numbers:
            picked = key_sentences(said, language=language, words=_KEY_WORDS, most=_KEY_SENTENCES, each=1)
            return tuple((of.number, *of.places) for of in picked)

        places = self._short.get(_digest(language, *(part for one in said for part in (one.number, one.text))), pick)
        told = sentences_at(said, {number: places for number, *places in places})
        return [(by_number[of.number], sentence) for of in told for sentence in of.sentences]

    def seen(self, connection: Connection, posts: Sequence[ThreadPost], community: Community) -> list[Similar]:
        """Threads that began alike; none for a thread that went on by itself.

        Which ones is looked up again when the community has a new post, or this thread another beginning.
        """
        if len(posts) > _SHORT_THREAD:
            return []
        first = min(posts, key=_when)
        found: list[Similar] = []

        def look_up() -> _Numbers:
            found.extend(similar(connection, first, language=community.language))
            return tuple((one.thread_id,) for one in found)

        begins = (first.id, first.thread_id, first.subject, read.own_text(first))
        threads = self._seen.get(_digest(community.language, community.last_number, *begins), look_up)
        return found or begun(connection, community.id, [thread_id for (thread_id,) in threads])


class _Remembered:
    """Values by a digest of what they came of; the oldest are forgotten."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Numbers] = {}
        self._turn = threading.Lock()

    def get(self, of: bytes, make: Callable[[], _Numbers]) -> _Numbers:
        known = self._known.get(of)
        if known is None:
            known = make()
            with self._turn:
                self._known[of] = known
                if len(self._known) > _KEPT:
                    del self._known[next(iter(self._known))]
        return known


def _digest(*parts: str | int) -> bytes:
    digest = blake2b(digest_size=16)
    for data in _bytes(parts):
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


def _bytes(parts: Iterable[str | int]) -> Iterable[bytes]:
    return (str(part).encode("utf-8", "surrogatepass") for part in parts)


def _when(post: ThreadPost) -> tuple[object, str]:
    return post.date, post.message_id
