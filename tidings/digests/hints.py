"""What the archive has to a question: an older thread that resembles it and was answered, and who answered in such.

It looks for the first few questions of a week only, since each look costs some milliseconds.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, select

from tidings.archive import read
from tidings.archive.similar import Similar, similar
from tidings.communities.directory import Community, email_key
from tidings.database import tables
from tidings.digests import names
from tidings.digests.fragments import Seen
from tidings.digests.week import Question

_HINTED = 20  # questions
_POST = tables.post.c
_WRITERS = (
    select(_POST.thread_id, _POST.author_email)
    .where(_POST.community_id == bindparam("community"), _POST.thread_id.in_(bindparam("threads", expanding=True)))
    .order_by(_POST.thread_id, _POST.date, _POST.number)
)


class Hints:
    """What the archive has to a question; of the first few that are asked for, since each costs some milliseconds."""

    def __init__(self, connection: Connection, community: Community) -> None:
        self._connection, self._community = connection, community
        self._known: dict[int, Question] = {}

    def __call__(self, question: Question, first: read.Post) -> Question:
        """The question with an older thread that resembles it, and with those who answered in such threads."""
        if first.id not in self._known and len(self._known) < _HINTED:
            found = similar(self._connection, first, language=self._community.language)
            answered = [one for one in found if one.answered and one.date < first.date]
            self._known[first.id] = replace(question, **self._said(answered)) if answered else question
        known = self._known.get(first.id)
        return replace(question, seen=known.seen, experts=known.experts) if known else question

    def _said(self, answered: Sequence[Similar]) -> dict[str, Any]:
        best = answered[0]
        values = {"community": self._community.id, "threads": [one.thread_id for one in answered]}
        rows = self._connection.execute(_WRITERS, values).all()
        openers: dict[int, str] = dict(reversed(rows))  # the first of each thread is seen last
        experts = {email_key(author) for thread_id, author in rows if author != openers[thread_id]}
        seen = Seen(title=names.title(best.subject), date=best.date, link=best.message_id)
        return {"seen": seen, "experts": frozenset(experts)}
