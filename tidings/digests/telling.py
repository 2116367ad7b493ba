"""In whose words a thread, a question or a result is told: the members' own sentences, few and in their order; pure.

What is told of a week is not decided here (select), nor how it looks (render).
"""

from collections.abc import Sequence

from tidings.archive.sentences import sentences, shorten
from tidings.digests.fragments import (
    YOU,
    Conversation,
    Fragment,
    Opening,
    Personal,
    Settled,
    Title,
    Told,
    Unanswered,
)
from tidings.digests.select import Concerning
from tidings.digests.week import Fresh, Question, Reader, Result, Thread

WORDS = 120
"""Words of one conversation that are told in its members' own sentences."""

_PERSONAL_WORDS = 80
_QUESTION_WORDS = 40
_LINES = 8  # one-line posts of a conversation; more are counted
_CANDIDATES = 40  # posts of a conversation, the newest, whose sentences are looked at
_LINE_LENGTH = 60


# --- the fragments ---------------------------------------------------------------------------------------------------


def personal(one: Concerning, reader: Reader) -> Personal:
    """A post that concerns the reader, with as much of it as fits into a few lines."""
    question = one.thread.question
    return Personal(
        concern=one.concern,
        title=one.thread.title,
        post=_gist(one.post, reader, _PERSONAL_WORDS),
        numbers=(one.post.number,),
        link=one.post.message_id,
        seen=question.seen if question and question.asked == one.post else None,
    )


def settled(result: Result, reader: Reader) -> Settled:
    """What a thread came to."""
    return Settled(
        outcome=result.outcome,
        title=result.title,
        author=YOU if result.author_key in reader.keys else result.author,
        text=shorten(" ".join(sentences(result.text)), 2 * _LINE_LENGTH),
        numbers=(result.said.number,),
        link=result.said.message_id,
    )


def unanswered(question: Question, reader: Reader) -> Unanswered:
    """A question that is still open."""
    return Unanswered(
        title=question.title,
        post=_gist(question.asked, reader, _QUESTION_WORDS),
        numbers=(question.asked.number,) if question.new else (),
        link=question.asked.message_id,
        seen=question.seen,
    )


def conversation(thread: Thread, reader: Reader, words: int = WORDS) -> Conversation:
    """A thread with its most telling sentences: first sentences and questions, then what follows them."""
    said = {post.number: list(sentences(post.text)) for post in thread.fresh[-_CANDIDATES:]}
    picked = _pick(said, words)
    told = [
        _told(post, reader, said[post.number], picked[post.number]) for post in thread.fresh if post.number in picked
    ]
    further = [post for post in thread.fresh if post.number not in picked]
    lines = [_line(post, reader) for post in further[-_LINES:]]
    return Conversation(
        title=thread.title,
        posts=thread.posts,
        authors=_authors(thread, reader),
        numbers=tuple(post.number for post in thread.fresh),
        link=thread.fresh[-1].message_id,
        opening=_opening(thread, reader),
        told=tuple(told),
        lines=tuple(lines),
        more=len(further) - len(lines),
        attached=tuple(file for _, file in thread.attached),
        seen=thread.question.seen if thread.question else None,
    )


def titled(thread: Thread, reader: Reader) -> Title:
    """A thread of which only the title is told."""
    return Title(
        title=thread.title,
        posts=thread.posts,
        authors=_authors(thread, reader),
        numbers=tuple(post.number for post in thread.fresh),
        link=thread.fresh[-1].message_id,
    )


def as_title(told: Conversation) -> Title:
    """A conversation of which only the title is told, for an edition that would be too large."""
    return Title(title=told.title, posts=told.posts, authors=told.authors, numbers=told.numbers, link=told.link)


def _opening(thread: Thread, reader: Reader) -> Opening | None:
    opening = thread.opening
    if opening is None or thread.opening_key not in reader.keys:
        return opening
    return Opening(author=YOU, date=opening.date, sentence=opening.sentence)


def _authors(thread: Thread, reader: Reader) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_who(post, reader) for post in thread.fresh))


def _who(post: Fresh, reader: Reader) -> str:
    """The author of a post as the reader is told it."""
    return YOU if reader.wrote(post) else post.author


# --- sentences -------------------------------------------------------------------------------------------------------


def is_question(text: str) -> bool:
    """Whether somebody asks something in their own words."""
    return any(_asks(sentence) for sentence in sentences(text))


def opening_line(text: str) -> str:
    """How a post begins, past the greeting, in one line; empty where it has no words."""
    return shorten(next(sentences(text), ""), _LINE_LENGTH)


def _asks(sentence: str) -> bool:
    return sentence.endswith(("?", "？"))


def words(fragment: Fragment) -> int:
    """How many words of members a fragment tells."""
    if isinstance(fragment, Personal | Unanswered):
        return count(fragment.post.text)
    if isinstance(fragment, Conversation):
        return sum(count(told.text) for told in (*fragment.told, *fragment.lines))
    return count(fragment.text) if isinstance(fragment, Settled) else 0


def _gist(post: Fresh, reader: Reader, words: int) -> Told:
    said = list(sentences(post.text))
    picked = _pick({post.number: said}, words).get(post.number)
    if not picked:
        return Told(author=_who(post, reader), date=post.date, text=said[0] if said else "")
    return _told(post, reader, said, picked)


def _pick(said: dict[int, list[str]], words: int) -> dict[int, list[int]]:
    """By archive number, which sentences are told: at most so many words in all."""
    places = [(number, index) for number, found in said.items() for index in range(len(found))]
    places.sort(key=lambda place: _order(said[place[0]][place[1]], place[1]))  # stable: older posts first
    picked: dict[int, list[int]] = {}
    left = words
    for number, index in places:
        words = count(said[number][index])
        if words <= left:
            left -= words
            picked.setdefault(number, []).append(index)
    return {number: sorted(indexes) for number, indexes in picked.items()}


def _order(sentence: str, index: int) -> int:
    return 0 if index == 0 or _asks(sentence) else index


def count(text: str) -> int:
    """How many words there are; of scripts without spaces, twelve characters stand for one."""
    return max(len(text.split()), len(text) // 12)


def _told(post: Fresh, reader: Reader, said: Sequence[str], picked: Sequence[int]) -> Told:
    """The picked said in their order, with `...` where others were left out."""
    parts: list[str] = []
    for before, index in zip([-1, *picked], picked, strict=False):
        parts += ["..."] * (index > before + 1) + [said[index]]
    parts += ["..."] * (picked[-1] + 1 < len(said))
    return Told(author=_who(post, reader), date=post.date, text=" ".join(parts))


def _line(post: Fresh, reader: Reader) -> Told:
    first = next(sentences(post.text), "")
    return Told(author=_who(post, reader), date=post.date, text=shorten(first, _LINE_LENGTH))
