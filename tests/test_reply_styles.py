"""Replies to a digest from many mail programs: each becomes a post of the sender's own words, in the right thread."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.mail_programs import STYLES
from tests.reply_styles import Digest, item_of, read_digest, reply
from tests.small_site import Makings, SmallSite, makings
from tests.test_item_replies import Digested
from tidings.database import tables
from tidings.digests import kept, render

FIXTURES = (makings,)
OWN = "It held for three nights.\n\nNo drop when we start, we measured 2.3 bar."
SHORT = "It held for three nights, thanks."


class Answered:
    """A site whose member Sam answers a digest of a meeting (1) and two conversations, Stock (2) and Seal (3)."""

    def __init__(self, site: SmallSite) -> None:
        self.box = Digested(site)
        with site.site.database.read() as connection:
            raw = render.assemble(connection, 1, site=site.site.settings.site, tokens=site.site.tokens)
        self.digest: Digest = read_digest(raw)
        self._count = 0

    def next_id(self) -> str:
        self.box.site.clock.advance(timedelta(hours=1))  # so that no thread runs hot
        self._count += 1
        return f"{self._count}.reply@example.org"

    def number(self, subject: str) -> int:
        return self.box.number(subject)

    def with_sent_id(self, message_id: str) -> str:
        """The id of the post that came with another's."""
        with self.box.site.site.database.read() as connection:
            wanted = select(tables.post.c.message_id).where(tables.post.c.sent_id == message_id)
            return connection.execute(wanted).scalar_one()

    def posted(self, message_id: str) -> tuple[str, str | None, str]:
        """Text, parent and subject of what a mail became."""
        with self.box.site.site.database.read() as connection:
            post = connection.execute(select(tables.post).where(tables.post.c.message_id == message_id)).one()
            assert "+r." not in post.recipients
            body, fields = connection.execute(
                select(tables.outbox.c.body, tables.outbox.c.fields).where(tables.outbox.c.post_id == post.id)
            ).one()
        assert body == post.text
        assert f'"In-Reply-To": "<{post.answers}>"' in fields
        return post.text, self.box.site.tree()[message_id][0], post.subject


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, makings: Makings) -> Iterator[Answered]:
    with SmallSite(tmp_path_factory.mktemp("site"), makings) as site:
        yield Answered(site)


@pytest.mark.parametrize("program", STYLES)
def test_a_reply_to_an_item(answered: Answered, program: str) -> None:
    message_id, to = answered.next_id(), answered.box.address("Seal")
    raw = reply(STYLES[program], answered.digest, OWN, to=to, message_id=message_id)
    assert answered.box.take_in(raw, to) == [], answered.box.why()
    assert answered.posted(message_id) == (OWN + STYLES[program].signed, "seal@example.org", "Re: Seal")


@pytest.mark.parametrize("program", STYLES)
def test_a_reply_to_the_whole_digest_that_begins_with_a_number(answered: Answered, program: str) -> None:
    message_id, number = answered.next_id(), answered.number("Stock")
    raw = reply(STYLES[program], answered.digest, f"#{number} {OWN}", message_id=message_id)
    assert answered.box.take_in(raw, answered.digest.sender) == [], answered.box.why()
    assert answered.posted(message_id) == (OWN + STYLES[program].signed, "stock@example.org", "Re: Stock")


@pytest.mark.parametrize("program", STYLES)
@pytest.mark.parametrize("subject", ["Seal", "Stock"])
def test_a_reply_beside_the_quote_of_an_item(answered: Answered, program: str, subject: str) -> None:
    message_id, number = answered.next_id(), answered.number(subject)
    raw = reply(STYLES[program], answered.digest, SHORT, inside=number, message_id=message_id)
    assert answered.box.take_in(raw, answered.digest.sender) == [], answered.box.why()
    assert answered.posted(message_id) == (SHORT, f"{subject.lower()}@example.org", f"Re: {subject}")


@pytest.mark.parametrize("program", STYLES)
def test_a_reply_to_the_whole_digest_with_two_numbers(answered: Answered, program: str) -> None:
    message_id = answered.next_id()
    own = f"#{answered.number('Seal')} It held.\n\n#{answered.number('Stock')} Two."
    raw = reply(STYLES[program], answered.digest, own, message_id=message_id)
    assert answered.box.take_in(raw, answered.digest.sender) == [], answered.box.why()
    assert answered.posted(message_id) == ("It held.", "seal@example.org", "Re: Seal")
    second = answered.with_sent_id(message_id)
    assert answered.posted(second) == (f"Two.{STYLES[program].signed}", "stock@example.org", "Re: Stock")


@pytest.mark.parametrize("program", STYLES)
def test_a_reply_to_the_whole_digest_that_quotes_one_item_alone(answered: Answered, program: str) -> None:
    message_id = answered.next_id()
    digest = item_of(answered.digest, answered.number("Stock"))
    raw = reply(STYLES[program], digest, SHORT, message_id=message_id)
    assert answered.box.take_in(raw, answered.digest.sender) == [], answered.box.why()
    assert answered.posted(message_id) == (SHORT + STYLES[program].signed, "stock@example.org", "Re: Stock")


@pytest.mark.parametrize("program", STYLES)
def test_a_reply_to_the_whole_digest_that_names_no_item_is_asked_about(answered: Answered, program: str) -> None:
    before = answered.box.site.count("post")
    raw = reply(STYLES[program], answered.digest, OWN, message_id=answered.next_id())
    told = answered.box.take_in(raw, answered.digest.sender)
    assert len(told) == 1, answered.box.why()
    (question,) = told
    assert question.subject.startswith("Which one?")
    assert answered.box.site.count("post") == before
    assert answered.box.site.count("kept_reply") == 1
    kept.forget_due(answered.box.site.site.database, answered.box.site.clock.now() + kept.LIFE)
