"""In whose words a thread, a question or a result is told: the members' own sentences, few and in their order; pure.

Only of a conversation may a language model have written (summaries), which is then told in its place. What is told of a
week is not decided here (select), nor how it looks (render).
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

from tidings.archive.prose import is_telling
from tidings.archive.sentences import QUESTION_MARKS, prose_sentences, sentences, shorten
from tidings.archive.summary import WORDS, Picked, Said, count_words, key_sentences
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
from tidings.digests.prompt import first_sentences
from tidings.digests.select import Concerning
from tidings.digests.week import Fresh, Question, Reader, Result, Thread

_PERSONAL_WORDS = 80
_QUESTION_WORDS = 40
_OPENING = 5  # sentences of a post, of which the first that says something is told in a line
_LINES = 8  # one-line posts of a conversation; more are counted
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
        owner=YOU if result.owner_keys & reader.keys else result.owner,
        due=result.due,
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


def conversation(
    thread: Thread, reader: Reader, *, language: str, words: int = WORDS, week: str = "", written: str = ""
) -> Conversation:
    """A thread with what a model has written of it, else with its key sentences, at most so many words.

    `language` is the community's.
    """
    key = [] if written else key_sentences(_said(thread.fresh), language=language, words=words)
    picked = {one.number: one for one in key}
    told = [_told(post, reader, picked[post.number]) for post in thread.fresh if post.number in picked]
    further = [post for post in thread.fresh if post.number not in picked]
    # A patch or a trailer alone says nothing in a line; it is counted.
    worded = [post for post in further if next(prose_sentences(post.text), "")]
    lines = [_line(post, reader) for post in (worded if told or worded else further)[-_LINES:]]
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
        week=week,
        written=first_sentences(written, words),
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


@lru_cache(maxsize=4_096)
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
    """Whether somebody asks something in their own words, which those of a patch or of a log are not."""
    return any(_asks(sentence) for sentence in prose_sentences(text))


def opening_line(text: str) -> str:
    """How a post begins, past the greeting, in one line; empty where it has no words."""
    said = list(islice(sentences(text), _OPENING))
    return shorten(next(filter(is_telling, said), said[0] if said else ""), _LINE_LENGTH)


def _asks(sentence: str) -> bool:
    return sentence.endswith(QUESTION_MARKS)


@lru_cache(maxsize=4_096)
def words(fragment: Fragment) -> int:
    """How many words of members, or of a model, a fragment tells."""
    if isinstance(fragment, Personal | Unanswered):
        return count_words(fragment.post.text)
    if isinstance(fragment, Conversation):
        return count_words(fragment.written) + sum(count_words(told.text) for told in (*fragment.told, *fragment.lines))
    return count_words(fragment.text) if isinstance(fragment, Settled) else 0


def _gist(post: Fresh, reader: Reader, words: int) -> Told:
    """How a post begins, and what it asks."""
    said = list(prose_sentences(post.text)) or list(sentences(post.text))
    asking_first = sorted(range(len(said)), key=lambda place: (place > 0 and not _asks(said[place]), place))
    places: list[int] = []
    for place in asking_first:
        if not places or count_words(said[place]) <= words:
            places.append(place)
            words -= count_words(said[place])
    places.sort()
    picked = Picked(
        number=post.number, sentences=tuple(said[place] for place in places), places=tuple(places), many=len(said)
    )
    return _told(post, reader, picked)


def _said(posts: Sequence[Fresh]) -> list[Said]:
    return [Said(number=post.number, text=post.text) for post in posts]


def _told(post: Fresh, reader: Reader, picked: Picked) -> Told:
    """The picked said in their order, with `...` where others were left out."""
    parts: list[str] = []
    for before, place, sentence in zip((-1, *picked.places), picked.places, picked.sentences, strict=False):
        parts += ["..."] * (place > before + 1) + [sentence]
    ends = bool(parts) and parts[-1].endswith(("...", "…"))  # as its author left it
    parts += ["..."] * (not parts or (picked.places[-1] + 1 < picked.many and not ends))
    return Told(author=_who(post, reader), date=post.date, text=" ".join(parts) if picked.many else "")


def _line(post: Fresh, reader: Reader) -> Told:
    """The first sentence that says something, else the first: past `Looks good,` and what stands before a quote."""
    said = list(islice(prose_sentences(post.text), _OPENING)) or list(islice(sentences(post.text), 1))
    first = next(filter(is_telling, said), said[0] if said else "")
    return Told(author=_who(post, reader), date=post.date, text=shorten(first, _LINE_LENGTH))
