"""One-word replies to an item of a digest: done and not posted, and only for the member whose digest it is."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Row, select

from tests import digest_site, seed
from tests.letterbox import SAM, Letterbox, Sent
from tests.small_site import ANA, BERLIN, LI, SmallSite, any_site, from_ana, makings, small_site
from tidings.communities import choices, directory, joining
from tidings.communities.choices import ThreadChoice
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import render, stored

FIXTURES = (any_site, makings, small_site)
MONDAY = datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN)


class Digested(Letterbox):
    """A letterbox at a site where Sam was sent a digest of two conversations and of a meeting."""

    def __init__(self, site: SmallSite) -> None:
        super().__init__(site)
        with site.site.database.write() as connection:
            pump = directory.community(connection, "pump")
            digest_site.weekly(connection, pump, "Tue 14:00", site.clock.now())
        site.take_in(from_ana("Seal", "Which seal is on line 3?\n", "seal@example.org"))
        site.take_in(from_ana("Stock", "Are there two seals left?\n", "stock@example.org"))
        site.clock.set(MONDAY)
        assert site.site.run_due().editions == 3  # Sam's, and the agenda of the others

    def address(self, subject: str, who: str = SAM) -> str:
        """The reply address of a reader's newest item about `subject`, of the whole edition where it is empty."""
        row = self._item(subject, who)
        token = self.site.site.tokens.item(row.id, row.membership_id, self.site.clock.now().date())
        return f"pump+r.{token}@lists.example.org"

    def _item(self, subject: str, who: str) -> Row[tuple[int, int, str, int]]:
        item, section = tables.item.c, tables.edition_section.c
        with self.site.site.database.read() as connection:
            rows = connection.execute(
                select(item.id, item.number, item.subject, section.membership_id)
                .join_from(tables.item, tables.edition_section, section.id == item.section_id)
                .where(section.person_id == self.present(who).person_id)
                .order_by(item.id.desc())
            ).all()
        return next(row for row in rows if (row.number and subject in row.subject if subject else row.number == 0))

    def number(self, subject: str) -> int:
        """The number of Sam's item about `subject`."""
        return self._item(subject, SAM).number

    def printed(self) -> str:
        """The text of the digest."""
        site = self.site.site
        with site.database.read() as connection:
            edition = stored.load(connection, 1)
            token = render.item_tokens(edition, site.tokens)
            return render.page(edition, "txt", site=site.settings.site, tokens=site.tokens, token=token)

    def answer(self, subject: str, text: str, sender: str = SAM, **fields: str) -> list[Sent]:
        return self.write(self.address(subject), text, sender, f"Re: {subject}", **fields)

    def choices(self, who: str = SAM) -> dict[str, str]:
        with self.site.site.database.read() as connection:
            found = choices.chosen(connection, self.present(who).membership_id)
        return {one.message_id: one.choice for one in found}


@pytest.fixture
def box(small_site: SmallSite) -> Digested:
    return Digested(small_site)


@pytest.fixture
def any_box(any_site: SmallSite) -> Digested:
    """On each engine in turn."""
    return Digested(any_site)


def test_mute_and_follow_choose_of_the_thread_of_the_item_and_are_not_posted(any_box: Digested) -> None:
    (told,) = any_box.answer("Seal", "Mute")
    assert any_box.choices() == {"seal@example.org": "mute"}
    assert (told.to, told.sender) == (SAM, "pump+command@lists.example.org")
    assert "You hear no more of this conversation:\nSeal\n" in told.text
    assert any_box.address("Seal") in told.text
    any_box.answer("Stock", "follow")
    any_box.answer("Seal", "follow.\n\nSam")
    assert any_box.choices() == {"seal@example.org": "follow", "stock@example.org": "follow"}
    assert any_box.site.count("post") == 2


def test_the_last_choice_of_a_thread_counts_whichever_post_it_was_made_by(box: Digested) -> None:
    box.answer("Seal", "mute")
    box.site.clock.advance(timedelta(hours=1))
    box.site.take_in(from_ana("Re: Seal", "The new one.\n", "new@example.org", In_Reply_To="<seal@example.org>"))
    with box.site.site.database.write() as connection:  # a choice by another post of the thread
        membership_id = box.present(SAM).membership_id
        choices.choose(connection, membership_id, "new@example.org", "mute", box.site.clock.now())
        choices.choose(connection, membership_id, "stock@example.org", "mute", box.site.clock.now())
    box.answer("Seal", "follow")
    assert box.choices() == {"seal@example.org": "follow", "stock@example.org": "mute"}


def test_a_muted_thread_is_told_no_more_in_the_next_digest(box: Digested) -> None:
    box.answer("Seal", "mute")
    box.site.take_in(from_ana("Re: Seal", "The grey one.\n", "grey@example.org", In_Reply_To="<seal@example.org>"))
    box.site.take_in(from_ana("Re: Stock", "Two.\n", "two@example.org", In_Reply_To="<stock@example.org>"))
    box.site.clock.set(MONDAY + timedelta(days=7))
    assert box.site.site.run_due().editions == 3
    with box.site.site.database.read() as connection:
        fragments = connection.execute(
            select(tables.fragment.c.data).join(tables.item).order_by(tables.item.c.id.desc()).limit(3)
        ).scalars()
        printed = "".join(fragments)
    assert "Two." in printed
    assert "The grey one." not in printed


def test_pause_and_resume_work_at_every_item_and_at_the_whole_digest(box: Digested) -> None:
    (told,) = box.answer("", "pause until 3 Nov")
    assert "You get no mail from Pump team until Tue 3 Nov 2026" in told.text
    assert box.present(SAM).paused_until == datetime(2026, 11, 3, tzinfo=BERLIN)
    box.answer("Stock", "resume")
    assert box.present(SAM).paused_until is None
    box.answer("", "#2 pause")
    assert box.present(SAM).paused_until == joining.UNTIL_RESUMED
    assert box.site.count("post") == 2


@pytest.mark.parametrize(("subject", "word"), [("Seal", "leave"), ("", "Unsubscribe")])
def test_who_wants_to_leave_is_asked_and_the_word_reaches_nobody(box: Digested, subject: str, word: str) -> None:
    (question,) = box.answer(subject, word)
    assert question.subject == "Leave Pump team?"
    assert box.site.count("post") == 2
    box.reply(question)
    assert box.member(SAM) is None


def test_a_number_names_the_item_to_mute_in_a_reply_to_the_whole_digest(box: Digested) -> None:
    box.answer("", f"#{box.number('Stock')} mute")
    assert box.choices() == {"stock@example.org": "mute"}
    (which,) = box.answer("", "mute")
    assert which.subject.startswith("Which one?")


def test_a_day_that_cannot_be_is_answered_and_not_posted(box: Digested) -> None:
    (told,) = box.answer("Seal", "pause until 35 Nov")
    assert "pause until 3 Nov" in told.text
    assert box.site.count("post") == 2


def test_a_meeting_is_no_conversation_to_mute(box: Digested) -> None:
    (told,) = box.answer("meeting", "mute")
    assert "neither muted nor followed" in told.text
    assert box.choices() == {}


@pytest.mark.parametrize("text", ["yes", "no", "used: the grey one", "Mute the alarm first.", "help"])
def test_every_other_word_is_posted(box: Digested, text: str) -> None:
    assert box.answer("Seal", text) == []
    assert box.site.count("post") == 3


@pytest.mark.acceptance(52)
@pytest.mark.parametrize("word", ["mute", "pause", "pause until 3 Nov", "resume"])
def test_the_word_of_anybody_else_is_held_and_changes_nothing(box: Digested, word: str) -> None:
    before = box.present(SAM), box.present(LI)
    for sender in (LI, "stranger@example.org"):
        assert box.answer("Seal", word, sender) == []
        assert box.why()[0] == "hold"
    assert (box.present(SAM), box.present(LI)) == before
    assert box.choices() == {}
    assert box.choices(LI) == {}


@pytest.mark.parametrize("fields", [{"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}])
def test_a_program_chooses_nothing(box: Digested, fields: dict[str, str]) -> None:
    assert box.answer("Seal", "mute", **fields) == []
    assert box.choices() == {}
    assert box.why()[0] == "hold"


def test_a_held_word_that_a_person_releases_is_a_post(box: Digested) -> None:
    box.answer("Seal", "mute", ANA)
    (held,) = box.site.site.spool.listing("held")
    box.site.site.desk().release(held.key)
    box.site.drain()
    assert box.site.count("post") == 3
    assert box.choices() == box.choices(ANA) == {}


def test_an_address_of_more_than_a_year_ago_chooses_nothing(box: Digested) -> None:
    address = box.address("Seal")
    box.site.clock.advance(timedelta(days=367))
    assert box.write(address, "mute", SAM) == []
    assert box.choices() == {}


def test_a_choice_is_told_once_a_day_and_other_words_a_few_times(box: Digested) -> None:
    sent = [one for _ in range(4) for word in ("mute", "follow") for one in box.answer("Seal", word)]
    assert len(sent) == 2
    sent = [one for _ in range(10) for one in box.answer("Seal", "pause")]
    assert len(sent) == 5, "limits.notices_per_day"


# --- the store -------------------------------------------------------------------------------------------------------


def test_choices_are_kept_by_member_and_post_replaced_and_forgotten(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        sam, li = (seed.member(connection, pump, email) for email in (SAM, LI))
        choices.choose(connection, sam, "a@x", "mute", seed.START)
        choices.choose(connection, sam, "b@x", "follow", seed.START - timedelta(hours=1))
        choices.choose(connection, li, "a@x", "follow", seed.START)
        later = seed.START + timedelta(hours=1)
        choices.choose(connection, sam, "a@x", "follow", later)
        assert choices.chosen(connection, sam) == [
            ThreadChoice(message_id="b@x", choice="follow", created_at=seed.START - timedelta(hours=1)),
            ThreadChoice(message_id="a@x", choice="follow", created_at=later),
        ]
        choices.forget(connection, sam, ["a@x", "unknown@x"])
        choices.forget(connection, sam, [])
        assert [one.message_id for one in choices.chosen(connection, sam)] == ["b@x"]
        assert [one.message_id for one in choices.chosen(connection, li)] == ["a@x"]


def test_pausing_and_addresses_of_a_person(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        sam = directory.member(connection, seed.member(connection, pump, SAM))
        assert sam is not None
        joining.pause(connection, membership_id=sam.membership_id, until=joining.UNTIL_RESUMED)
        found = directory.member(connection, sam.membership_id)
        assert found is not None
        assert found.paused_until == joining.UNTIL_RESUMED
        joining.resume(connection, membership_id=sam.membership_id)
        assert joining.add_address(connection, person_id=sam.person_id, email="Sam@Example.net") == "Sam@example.net"
        assert joining.add_address(connection, person_id=sam.person_id, email="sam@example.net") == "sam@example.net"
        assert joining.addresses(connection, sam.person_id) == ["Sam@example.net", SAM]
        titles = joining.move_mail(connection, membership_id=sam.membership_id, email="sam@EXAMPLE.net")
        assert titles == ["Pump people"]
        assert directory.member_by_address(connection, pump, SAM) == directory.member(connection, sam.membership_id)
        joining.forget_address(connection, person_id=sam.person_id, email=SAM, now=seed.START)
        assert joining.addresses(connection, sam.person_id) == ["Sam@example.net"]
