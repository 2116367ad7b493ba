"""A mail that answers several items of a digest, and other ways in which replies come."""

import email
import email.policy
import json
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import select

from tests.letterbox import SAM
from tests.running import message
from tests.small_site import ANA, LI, PUMP, any_site, makings, small_site
from tests.test_item_replies import MONDAY, Digested, any_box, box
from tidings.archive import read
from tidings.communities import directory, joining
from tidings.database import tables
from tidings.mailer import compose
from tidings.mailer.addresses import ListAddress
from tidings.operations.erase import Erasure, find

FIXTURES = (any_site, makings, small_site, any_box, box)


def both(box: Digested) -> str:
    """A reply to the two conversations by their numbers."""
    return (
        f"Hi all,\n\n#{box.number('Seal')} It held.\n\nSince Monday.\n\n#{box.number('Stock')}: Four are left.\n\nSam\n"
    )


def replies_of(box: Digested) -> list[tuple[str, str, str]]:
    """Message-ID, subject and text of all posts that answer an item."""
    with box.site.site.database.read() as connection:
        post = tables.post.c
        wanted = select(post.message_id, post.subject, post.text).where(post.answers.is_not(None)).order_by(post.number)
        return [(bare, subject, text) for bare, subject, text in connection.execute(wanted)]


def test_two_numbers_in_one_mail_make_two_posts_each_with_its_own_text(any_box: Digested) -> None:
    assert any_box.answer("", both(any_box)) == []
    (first, *seal), (second, *stock) = replies_of(any_box)
    assert seal == ["Re: Seal", "It held.\n\nSince Monday."]
    assert stock == ["Re: Stock", "Four are left.\n\nSam"]
    assert first == "1.w@example.org"
    assert second.endswith("@lists.example.org")
    tree = any_box.site.tree()
    assert (tree[first][0], tree[second][0]) == ("seal@example.org", "stock@example.org")
    assert any_box.site.count("blob") == 3, "the mail is kept once"
    assert any_box.site.problems() == []


def copies(box: Digested) -> list[EmailMessage]:
    """What the members get of the replies."""
    found = []
    with box.site.site.database.read() as connection:
        rows = connection.execute(select(tables.outbox).where(tables.outbox.c.fields.is_not(None))).all()
        for row in rows:
            source = read.copy_source(connection, row.post_id)
            facts = compose.CopyFacts(
                address=ListAddress(name="pump", domain="lists.example.org"),
                title=source.title,
                base_url="https://tidings.example.org",
                message_id=source.message_id,
                author=(source.author_name, source.author_email),
                fields=json.loads(row.fields),
                body=row.body,
            )
            raw = compose.list_copies(source.raw, facts).data
            found.append(email.message_from_bytes(raw, policy=email.policy.default))
    return found


def test_the_copies_of_both_posts_say_who_wrote_and_have_an_id_and_a_thread_each(box: Digested) -> None:
    box.answer("", both(box), Cc=box.address(""))
    ids = [bare for bare, _, _ in replies_of(box)]
    for copy, message_id, subject in zip(copies(box), ids, ["Seal", "Stock"], strict=True):
        answered = f"<{subject.lower()}@example.org>"
        assert copy["Message-ID"] == f"<{message_id}>"
        assert (copy["In-Reply-To"], copy["References"], copy["Subject"]) == (answered, answered, f"Re: {subject}")
        assert copy["From"].addresses[0].addr_spec == SAM
        assert (copy["To"], copy["Cc"]) == (PUMP, None)
        assert "+r." not in copy.as_string()
    assert [copy.get_content().replace("\r\n", "\n").strip() for copy in copies(box)] == [
        text for _, _, text in replies_of(box)
    ]


def test_the_same_mail_again_posts_nothing(any_box: Digested) -> None:
    raw = any_box.mail(any_box.address(""), both(any_box), SAM)
    for _ in range(3):
        any_box.take_in(raw, any_box.address(""))
    assert len(replies_of(any_box)) == 2
    assert any_box.why()[0] == "duplicate"


def test_a_rebuild_makes_both_posts_again(any_box: Digested) -> None:
    any_box.answer("", both(any_box))
    before = any_box.site.shown(), any_box.site.tree()
    any_box.site.rebuild()
    assert (any_box.site.shown(), any_box.site.tree()) == before


def test_an_erasure_takes_both_posts(any_box: Digested) -> None:
    any_box.answer("", both(any_box))
    site = any_box.site.site
    with site.database.read() as connection:
        person = find(connection, SAM)
    for _ in Erasure(site=site, worker=any_box.site.worker, person=person, act=True).run():
        pass
    assert not [text for _, _, text in replies_of(any_box) if "held" in text or "Four" in text]
    assert b"Four are left" not in b"".join(any_box.site.raws())
    assert any_box.site.problems() == []


def test_why_tells_all_that_became_of_the_mail(box: Digested) -> None:
    box.answer("", both(box))
    (first, *_), (second, *_) = replies_of(box)
    told = "\n".join(box.site.why(first))
    assert f"A reply to item {box.number('Seal')} of a digest. Archived as number 3" in told
    assert f"A reply to item {box.number('Stock')} of a digest. Archived as number 4" in told
    assert f"it came with the id {first}" in told
    assert f"it came with the id {first}" in "\n".join(box.site.why(second))


def test_a_part_may_be_a_word_which_is_done_and_not_posted(box: Digested) -> None:
    (told,) = box.answer("", f"#{box.number('Seal')} mute\n#{box.number('Stock')} Four are left.")
    assert "You hear no more of this conversation:\nSeal\n" in told.text
    assert box.choices() == {"seal@example.org": "mute"}
    assert [text for _, _, text in replies_of(box)] == ["Four are left."]


def test_an_unknown_number_among_others_posts_nothing_and_is_asked_about(box: Digested) -> None:
    (question,) = box.answer("", f"#{box.number('Seal')} It held.\n#40 Four are left.")
    assert "has no item #40" in question.text
    assert box.site.count("post") == 2


def test_a_held_mail_of_several_parts_is_released_as_a_whole_and_its_words_are_done_once(box: Digested) -> None:
    with box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, box.site.clock.now())
    told = box.answer("", f"#{box.number('Seal')} mute\n#{box.number('Stock')} Four are left.")
    assert [one.subject for one in told if one.to == SAM] == ["Pump team: your reply", "Your post to Pump team waits"]
    assert (box.why()[0], replies_of(box)) == ("hold", [])
    box.answer("Seal", "follow")
    (held,) = box.site.site.spool.listing("held")
    box.site.site.desk().release(held.key)
    box.site.drain()
    assert [text for _, _, text in replies_of(box)] == ["Four are left."]
    assert box.choices() == {"seal@example.org": "follow"}


def test_an_item_of_another_community_is_answered_by_its_number(box: Digested) -> None:
    site = box.site.site
    now = box.site.clock.now()
    with site.database.write() as connection:
        joining.add_community(connection, name="ward", title="Ward 5", zone="Europe/Berlin", now=now)
        joining.add_member(connection, community="ward", email=SAM, name="Sam", delivery="weekly", now=now)
        joining.add_member(connection, community="ward", email=ANA, name="Ana", delivery="each", now=now)
    box.site.take_in(
        message(ANA, "ward@lists.example.org", "Beds", "Two are free.\n", "b@example.org"), "ward@lists.example.org"
    )
    box.site.take_in(message(ANA, PUMP, "Oil", "Which oil?\n", "oil@example.org"))
    box.site.clock.set(MONDAY + timedelta(days=7))
    assert site.run_due().editions == 3
    box.answer("", f"#{box.number('Oil')} The green one.\n#{box.number('Beds')} One is left.")
    with site.database.read() as connection:
        ward = directory.community(connection, "ward")
        posts = connection.execute(select(tables.post.c.text).where(tables.post.c.community_id == ward.id)).scalars()
        assert list(posts) == ["Two are free.\n".strip(), "One is left."]


# --- one item --------------------------------------------------------------------------------------------------------


def test_a_reply_from_another_address_of_the_member_is_posted(box: Digested) -> None:
    with box.site.site.database.write() as connection:
        joining.add_address(connection, person_id=box.present(SAM).person_id, email="sam@example.net")
    box.answer("Seal", "It held.", "sam@example.net")
    assert [text for _, _, text in replies_of(box)] == ["It held."]


def test_a_forwarded_digest_that_a_stranger_answers_is_held_and_nobody_is_told(box: Digested) -> None:
    for to in ("Seal", ""):
        assert box.answer(to, f"#{box.number('Seal')} It held.", "stranger@example.org") == []
        assert box.why() == ("hold", "stranger@example.org wrote to the reply address of another member.")
    assert box.site.count("post") == 2


@pytest.mark.parametrize("subject", ["Something else", "AW: Pump team weekly", "", "[pump] Re: Re: Stock"])
def test_a_changed_subject_changes_nothing(box: Digested, subject: str) -> None:
    to = box.address("Seal")
    box.write(to, "It held.", SAM, subject)
    ((message_id, shown, _),) = replies_of(box)
    assert (shown, box.site.tree()[message_id][0]) == ("Re: Seal", "seal@example.org")


@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated (vacation)"},
        {"Precedence": "auto_reply"},
        {"X_Autoreply": "yes"},
        {"Subject": "Automatic reply: Pump team weekly"},
    ],
)
def test_an_out_of_office_is_not_posted_and_not_answered(box: Digested, fields: dict[str, str]) -> None:
    subject = fields.pop("Subject", "Re: Pump team weekly")
    for to in ("", "Seal"):
        assert box.write(box.address(to), "I am on leave until Monday.", SAM, subject, **fields) == []
        assert box.why()[0] == "hold"
    assert box.site.count("post") == 2


def test_auto_submitted_no_is_a_person(box: Digested) -> None:
    box.answer("Seal", "It held.", Auto_Submitted="no")
    assert len(replies_of(box)) == 1


def test_replies_to_two_items_of_one_digest_stay_in_two_threads(any_box: Digested) -> None:
    edition_id = "<edition.1@lists.example.org>"
    for subject in ("Seal", "Stock"):
        any_box.answer(subject, f"About the {subject}.", In_Reply_To=edition_id, References=edition_id)
    tree = any_box.site.tree()
    parents = [tree[bare][0] for bare, _, _ in replies_of(any_box)]
    assert parents == ["seal@example.org", "stock@example.org"]
    assert sum(parent is None for parent, _, _ in tree.values()) == 2


def test_a_reply_that_comes_before_what_it_answers_is_archived_heals(any_box: Digested) -> None:
    any_box.answer("meeting", "I come.")
    ((message_id, _, _),) = replies_of(any_box)
    with any_box.site.site.database.read() as connection:
        told = select(tables.item.c.message_id).where(tables.item.c.block == "meeting").distinct()
        meeting = connection.execute(told).scalar_one()
    any_box.site.take_in(message(ANA, PUMP, "Pump team meeting", "It is in room 2.\n", meeting))
    assert any_box.site.tree()[message_id][:2] == (meeting, 1)


def test_a_file_goes_to_the_archive_and_the_copies_have_no_word_of_the_digest(box: Digested) -> None:
    quote = "".join(f"> {line}\n" for line in box.printed().splitlines())
    text = f"See the picture.\n\nOn Mon, 19 Oct 2026, Pump team weekly wrote:\n{quote}"
    made = message(SAM, box.address("Seal"), "Re: Seal", text, "f@example.org")
    made.add_attachment(b"\x89PNG" * 300, maintype="image", subtype="png", filename="seal.png")
    assert box.take_in(made.as_bytes().replace(b"\n", b"\r\n"), box.address("Seal")) == []
    with box.site.site.database.read() as connection:
        body = connection.execute(select(tables.outbox.c.body).where(tables.outbox.c.body.is_not(None))).scalar_one()
    assert body.startswith("See the picture.\n\nAttached, in the archive:\n- seal.png (1")
    assert body.endswith("/c/pump/m/f@example.org/")
    assert "Stock" not in body


# --- what was learned ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "text", "card"),
    [
        (SAM, "used: the grey one, on line 3", ("used", "the grey one, on line 3")),
        (SAM, "Benutzt: die graue", ("used", "die graue")),
        (SAM, "Utilisé : la grise", ("used", "la grise")),
        (SAM, "It was used: yes", None),
        (SAM, "That worked.", None),  # Ana asked
        (ANA, "That worked!", ("answer", "")),
        (ANA, "Gelöst.", ("answer", "")),
        (ANA, "Funcionó", ("answer", "")),
        (ANA, "That worked, but the seal is worn.", None),
    ],
)
def test_what_a_reply_says_was_learned_is_posted_and_kept_as_a_card(
    box: Digested, sender: str, text: str, card: tuple[str, str] | None
) -> None:
    with box.site.site.database.write() as connection:  # Ana has a digest too
        joining.set_member(
            connection, community="pump", email=ANA, changes={"delivery": "weekly"}, now=box.site.clock.now()
        )
    if sender == ANA:
        box.site.take_in(
            message(LI, PUMP, "Re: Seal", "The grey one.\n", "grey@example.org", In_Reply_To="<seal@example.org>")
        )
        box.site.clock.set(MONDAY + timedelta(days=7))
        assert box.site.site.run_due().editions == 3
        box.write(box.address("Seal", ANA), text, ANA)
    else:
        box.answer("Seal", text)
    assert [post for _, _, post in replies_of(box)] == [text]
    with box.site.site.database.read() as connection:
        found = connection.execute(select(tables.card)).all()
    assert [(one.kind, one.text) for one in found] == ([card] if card else [])
    assert [one.person_id for one in found] == ([box.present(sender).person_id] if card else [])
