"""Made-up weeks for the tests of what is told: posts and threads that were read from no database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tidings.digests.week import Fresh, Question, Reader, Result, Thread

NOW = datetime(2026, 10, 12, 17, 0, tzinfo=UTC)
SAM = Reader(keys=frozenset({"sam@example.org", "sam.okafor@example.org"}), name="Sam Okafor")


def fresh(number: int, text: str = "A word.", author: str = "Ana", answers: str = "") -> Fresh:
    """A post of Ana, unless another author is named; `answers` is the name of whom it answers."""
    return Fresh(
        id=100 + number,
        number=number,
        message_id=f"{number}@example.org",
        author=author,
        author_key=f"{author.lower()}@example.org",
        answers=f"{answers.lower()}@example.org" if answers else "",
        date=NOW + timedelta(minutes=number),
        text=text,
    )


def thread(*posts: Fresh, **values: Any) -> Thread:
    """A thread of these posts, named by the first of them."""
    authors = frozenset(post.author_key for post in posts)
    made = {"id": posts[0].number, "title": f"Title {posts[0].number}", "posts": len(posts), "authors": authors}
    return Thread(**{**made, "fresh": posts, **values})


def asking(post: Fresh, *experts: str, new: bool = True) -> Question:
    """The question of a thread; experts by name."""
    return Question(
        thread_id=post.number,
        title=f"Title {post.number}",
        asked=post,
        new=new,
        experts=frozenset(f"{name.lower()}@example.org" for name in experts),
    )


def result(post: Fresh, thread_id: int | None = None, text: str = "The new spring holds.") -> Result:
    """A practice that the author of a post used, in a thread of its own unless that is named."""
    return Result(
        card_id=post.id,
        outcome="used",
        thread_id=thread_id or post.number,
        title=f"Title {post.number}",
        said=post,
        author=post.author,
        author_key=post.author_key,
        text=text,
    )
