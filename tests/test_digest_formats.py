"""The formats of a digest: text alone, with the posts themselves in it (MIME), and as RFC 1153 has it.

What is enclosed is burst as a mail program does it, and held against what the archive has.
"""

import contextlib
import mailbox
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.letterbox import Letterbox
from tests.running import message, settings_for
from tests.small_site import ANA, PUMP, SAM, WEDNESDAY, SmallSite, any_site, from_ana, makings, small_site
from tests.smtp_sink import SmtpSink
from tidings.communities import choices, directory, joining
from tidings.database import tables
from tidings.digests import enclosures, layouts, previews, render, stored
from tidings.digests.lint import lint
from tidings.mailer import digest_mail, enclosed, own_tokens
from tidings.operations.demo.sent import Sent

FIXTURES = (any_site, makings, small_site)
MONDAY = WEDNESDAY + timedelta(days=5, hours=-1)  # Monday 8:00, when Sam's digest is due
TOKEN = "abcdefghijklmnopqrstuvwxyz234567ab"


def prefer(site: SmallSite, kind: str, email: str = SAM) -> None:
    with site.site.database.write() as connection:
        joining.set_member(connection, community="pump", email=email, changes={"format": kind}, now=site.clock.now())


def raw_post(site: SmallSite, raw: bytes, sender: str = ANA, to: str = PUMP) -> None:
    """Let bytes come in as they are."""
    Letterbox(site).take_in(raw, to, sender)


def digest(site: SmallSite, kind: str | None = None) -> bytes:
    """The bytes of Sam's digest, composed now where there is none yet."""
    if kind:
        prefer(site, kind)
        site.clock.set(MONDAY)
        assert site.site.run_due().editions == 1
    with site.site.database.read() as connection:
        newest = max(connection.execute(select(tables.edition.c.id)).scalars())
        return render.assemble(connection, newest, site=site.site.settings.site, tokens=site.site.tokens)


def parsed(raw: bytes) -> EmailMessage:
    made = message_from_bytes(raw, policy=policy.default)
    assert isinstance(made, EmailMessage)
    return made


def burst(raw: bytes) -> list[bytes]:
    """The mails of a multipart/digest, cut out by its boundary alone as simple programs do."""
    boundary = re.findall(rb'multipart/digest; boundary="([^"]+)"', raw.replace(b"\r\n ", b" "))[0]
    parts = raw.split(b"\r\n--" + boundary)[1:-1]
    return [part.partition(b"\r\n\r\n")[2] for part in parts]


def text_of(raw: bytes) -> str:
    part = parsed(raw).get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def undigested(text: str) -> tuple[str, list[str], str]:
    """Preamble, messages and trailer of a digest, as RFC 1153 says how they are told apart."""
    preamble, rest = text.split(f"\n\n{'-' * 70}\n\n")
    *messages, trailer = rest.split(f"\n\n{'-' * 30}\n\n")
    return preamble, messages, trailer


def with_file() -> EmailMessage:
    made = message("Ana Müller <ana@example.org>", PUMP, "Größe der Dichtung", "Größer.\n", "file@example.org")
    made.add_attachment(bytes(range(256)) * 40, maintype="image", subtype="png", filename="seal.png")
    return made


def eight_bit() -> bytes:
    head = (
        f"From: Ana <{ANA}>\r\nTo: {PUMP}\r\nSubject: Seals\r\nMessage-ID: <eight@example.org>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return head.encode() + "Größer als früher.\r\n\r\nEnde ohne Zeilenende".encode()


def the_week(site: SmallSite) -> None:
    site.take_in(with_file())
    raw_post(site, eight_bit())
    site.take_in(from_ana("Stock", "Two are left.\n", "stock@example.org"))


# --- mime ------------------------------------------------------------------------------------------------------------


def test_each_post_of_a_mime_digest_is_the_archived_one_in_number_order(any_site: SmallSite, tmp_path: Path) -> None:
    the_week(any_site)
    raw = digest(any_site, "mime")
    whole = parsed(raw)
    assert not whole.defects
    assert [part.get_content_type() for part in whole.iter_parts()] == ["text/plain", "multipart/digest"]
    inside = [part.get_content() for part in list(whole.iter_parts())[1].iter_parts()]  # type: ignore[attr-defined]
    archived = [parsed(one) for one in any_site.raws()]
    assert len(inside) == len(archived) == 3
    for mail, there, cut_out in zip(inside, archived, burst(raw), strict=True):
        assert not mail.defects
        for name in ("Subject", "From", "Message-ID", "Date", "To", "Content-Type"):
            assert mail[name] == there[name] == parsed(cut_out)[name]
        pairs = zip(mail.walk(), there.walk(), parsed(cut_out).walk(), strict=True)
        for payloads in ([part.get_payload(decode=True) for part in same] for same in pairs):
            assert payloads[0] == payloads[1] == payloads[2]
    with contextlib.closing(mailbox.mbox(tmp_path / "burst.mbox")) as box:
        for cut_out in burst(raw):
            box.add(cut_out)
    with contextlib.closing(mailbox.mbox(tmp_path / "burst.mbox")) as box:
        subjects = [str(one["Subject"]) for one in box]
    assert subjects == [str(message_from_bytes(one)["Subject"]) for one in any_site.raws()]


def test_a_body_stands_in_a_mime_digest_byte_for_byte(small_site: SmallSite) -> None:
    raw_post(small_site, eight_bit())
    (inside,) = burst(digest(small_site, "mime"))
    assert inside.partition(b"\r\n\r\n")[2] == eight_bit().partition(b"\r\n\r\n")[2]


def test_a_digest_says_of_what_width_the_mails_in_it_are(small_site: SmallSite) -> None:
    small_site.take_in(from_ana("Stock", "Two are left.\n", "stock@example.org"))
    assert b"8bit" not in digest(small_site, "mime")
    mails = [b"Subject: a\r\n\r\nb\r\n", eight_bit()]
    whole = parsed(digest_mail.with_posts({"Message-ID": "<d@example.org>"}, "Text.\n", mails))
    assert [str(part["Content-Transfer-Encoding"]) for part in whole.walk()][:6] == [
        *("8bit", "7bit", "8bit", "7bit", "None", "8bit")
    ]


def test_a_digest_with_posts_leaves_by_smtp_and_is_shown_without_them(small_site: SmallSite, tmp_path: Path) -> None:
    the_week(small_site)
    made = digest(small_site, "mime")
    with SmtpSink() as sink:
        out = replace(small_site.site, settings=settings_for(tmp_path, sink))
        out.deliverer().run_once()
        (sent,) = [one.data for one in sink.messages if one.recipients == (SAM,)]
    assert sent == made
    kept = tmp_path / "kept" / "new"
    kept.mkdir(parents=True)
    (kept / "1.P1Q1.here").write_bytes(sent)
    shown = Sent(kept.parent).mail(1)
    assert "FOR YOU" in shown.text or "CONVERSATIONS" in shown.text
    assert "als früher" not in shown.text.partition("WHY YOU GET THIS")[2]
    assert shown.html == ""


def test_the_text_of_every_format_is_that_beside_html(small_site: SmallSite) -> None:
    the_week(small_site)
    digest(small_site, "html")
    with small_site.site.database.read() as connection:
        frozen = stored.load(connection, 1)
    texts = {}
    for kind in joining.FORMATS:
        with small_site.site.database.write() as connection:
            connection.execute(tables.edition.update().values(format=kind))
        texts[kind] = text_of(digest(small_site)).split("-" * 70)[0].strip()
    hint = dict.fromkeys(("html",), "Text only: reply with `format text`.")
    plain = {re.sub(r"  (Text only|With HTML): .*", "", text) for text in texts.values()}
    assert len(plain) == 1
    assert all(hint.get(kind, "With HTML: reply with `format html`.") in text for kind, text in texts.items())
    assert frozen.format == "html"


def test_text_only_is_one_text_part(small_site: SmallSite) -> None:
    the_week(small_site)
    made = parsed(digest(small_site, "text"))
    assert made.get_content_type() == "text/plain"
    assert "reply: pump+r." in made.get_content()


# --- what does not go out --------------------------------------------------------------------------------------------


HIDDEN = (
    "Bcc: boss@example.org\r\nDelivered-To: private@example.net\r\nX-Original-To: private@example.net\r\n"
    "Received: from desk.internal.example.net by mx\r\nX-Tidings-Loop: other@lists.example.net\r\n"
    "Return-Path: <bounces@example.net>\r\nDisposition-Notification-To: ana@example.org\r\n"
)


def test_how_a_post_came_and_whom_its_author_hid_stands_in_no_digest(small_site: SmallSite) -> None:
    head, _, body = eight_bit().partition(b"\r\n\r\n")
    raw = head.replace(b"From:", HIDDEN.encode() + b"From:", 1) + b"\r\n\r\n" + body
    post = enclosed.Post(
        raw=raw, message_id="eight@example.org", words="Seals.", page="https://x/", reply_to="", domains=frozenset()
    )
    assert b"private@example.net" in raw
    for made in (enclosed.whole(post), enclosed.in_words(post).encode()):
        for told in (b"boss", b"private", b"internal", b"Loop", b"bounces", b"Disposition"):
            assert told not in made


def encoded(text: str, encoding: str) -> EmailMessage:
    made = message(SAM, PUMP, "Re: Stock", "", "reply@example.org")
    made.set_content(text, cte=encoding)
    return made


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_a_token_that_somebody_quoted_stands_in_no_digest(small_site: SmallSite, encoding: str) -> None:
    quoted = f"Two, I think, and not three or four, as was said.\n\n> reply: pump+r.{TOKEN}@lists.example.org\n"
    small_site.take_in(encoded(quoted, encoding))
    raw = digest(small_site, "mime")
    (inside,) = burst(raw)
    mail = parsed(inside)
    assert mail["Message-ID"] == "<reply@example.org>"
    assert mail.get_content().strip() == "Two, I think, and not three or four, as was said."
    assert not own_tokens.in_mail(inside)


def test_no_picture_is_taken_for_a_token() -> None:
    chance = "/u/" + "abcd" * 6 + "+" + "A" * 48
    assert own_tokens.without_tokens(chance) != chance
    assert not own_tokens.in_mail(f"{chance}\r\n{chance}\r\n{chance[:12]}\r\n".encode())
    assert own_tokens.in_mail(f"pump+r.{TOKEN}@lists.example.org".encode())


def test_the_token_of_a_reply_address_stands_in_no_field(small_site: SmallSite) -> None:
    for kind in ("whole", "in_words"):
        post = enclosed.Post(
            raw=f"From: {SAM}\r\nTo: pump+r.{TOKEN}@lists.example.org\r\n\r\nTwo.\r\n".encode(),
            message_id="a@example.org",
            words="Two.",
            page="https://x/",
            reply_to="",
            domains=frozenset({"lists.example.org"}),
        )
        made = getattr(enclosed, kind)(post)
        assert TOKEN not in str(made)
        assert "To: pump@lists.example.org" in str(made)


def test_muted_threads_and_other_communities_stand_in_no_digest(any_site: SmallSite) -> None:
    now = any_site.clock.now()
    with any_site.site.database.write() as connection:
        joining.add_community(connection, name="valve", title="Valves", zone="Europe/Berlin", now=now)
        for email, delivery in ((SAM, "weekly"), (ANA, "each")):
            joining.add_member(connection, community="valve", email=email, delivery=delivery, now=now)
        joining.add_community(connection, name="secret", title="Secret", zone="Europe/Berlin", now=now)
        joining.add_member(connection, community="secret", email=ANA, now=now)
    the_week(any_site)
    for name in ("valve", "secret"):
        to = f"{name}@lists.example.org"
        any_site.take_in(message(ANA, to, name, "A word.\n", f"{name}@example.org"), to)
    with any_site.site.database.write() as connection:
        pump = directory.community(connection, "pump")
        sam = directory.member_by_address(connection, pump.id, SAM)
        assert sam is not None
        choices.choose(connection, sam.membership_id, "stock@example.org", "mute", now)
    raw = digest(any_site, "mime")
    assert ids(raw) == ["file@example.org", "eight@example.org", "valve@example.org"]
    with any_site.site.database.write() as connection:
        joining.remove_member(connection, membership_id=sam.membership_id, now=now)
    assert ids(digest(any_site)) == ["valve@example.org"], "he left since"


def ids(raw: bytes) -> list[str]:
    return [str(parsed(one)["Message-ID"]).strip("<>") for one in burst(raw)]


# --- bounds, and what is frozen --------------------------------------------------------------------------------------


@pytest.mark.parametrize("html", [80_000, 12_000])
def test_what_is_only_counted_is_enclosed_too(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch, html: int
) -> None:
    monkeypatch.setattr(layouts, "HTML_LIMIT", html)
    for number in range(25):
        small_site.take_in(from_ana(f"Thing {number}", f"Word {number}.\n", f"{number}@example.org"))
    raw = digest(small_site, "mime")
    counted = re.search(r"\+([0-9]+) more conversations", text_of(raw))
    assert counted
    assert (int(counted[1]) > 25 - 7 - 10) == (html < 80_000)
    assert ids(raw) == [f"{number}@example.org" for number in range(25)]


@pytest.mark.parametrize(("limit", "most", "left"), [("POSTS", 2, 1), ("SIZE", 5_000, 1)])
def test_what_there_is_no_room_for_is_counted_and_stands_in_the_archive(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, left: int
) -> None:
    monkeypatch.setattr(enclosures, limit, most)
    the_week(small_site)
    raw = digest(small_site, "mime")
    assert len(burst(raw)) == 3 - left
    words = " ".join(text_of(raw).split())
    assert "1 post is not in this mail, which would be too long; read it here: " in words
    assert "read it here: http://127.0.0.1:8080/c/pump/" in words
    assert ids(raw) == (
        ["file@example.org", "eight@example.org"] if limit == "POSTS" else ["eight@example.org", "stock@example.org"]
    )


def test_an_edition_keeps_its_bytes_whatever_is_chosen_or_posted_after(small_site: SmallSite) -> None:
    the_week(small_site)
    before = digest(small_site, "mime")
    prefer(small_site, "plain")
    small_site.take_in(from_ana("Later", "A word.\n", "later@example.org"))
    with small_site.site.database.write() as connection:
        sam = directory.member_by_address(connection, directory.community(connection, "pump").id, SAM)
        assert sam is not None
        choices.choose(connection, sam.membership_id, "stock@example.org", "mute", MONDAY)
    assert digest(small_site) == before


def test_a_preview_has_the_format_and_addresses_that_are_refused(small_site: SmallSite) -> None:
    the_week(small_site)
    prefer(small_site, "mime")
    with small_site.site.database.read() as connection:
        made = previews.preview(connection, "pump", SAM, MONDAY, site=small_site.site.settings.site)
    assert len(burst(made.raw)) == 3
    assert set(re.findall(r"pump\+r\.(\w+)@", text_of(made.raw))) == {"preview"}


# --- RFC 1153 --------------------------------------------------------------------------------------------------------


def test_a_plain_digest_is_told_apart_as_rfc_1153_says(any_site: SmallSite) -> None:
    the_week(any_site)
    made = parsed(digest(any_site, "plain"))
    assert made.get_content_type() == "text/plain"
    preamble, messages, trailer = undigested(text_of(made.as_bytes()))
    assert "reply: pump+r." in preamble
    assert trailer == "End of Pump team Digest\n***********************\n"
    bodies = []
    for text, there in zip(messages, map(parsed, any_site.raws()), strict=True):
        mail = message_from_string(text, policy=policy.default)
        assert [mail[name] for name in ("Subject", "From", "To", "Message-ID")] == [
            there[name] for name in ("Subject", "From", "To", "Message-ID")
        ]
        bodies.append(mail.get_payload())
    assert bodies == ["Größer.", "Größer als früher.\n\nEnde ohne Zeilenende", "Two are left."]


def test_the_fields_of_a_plain_digest_are_those_of_rfc_1153_in_its_order() -> None:
    fields = (
        "Summary: s\nX-Other: no\nSubject: a\n folded\nKeywords: k\nCc: c@example.org\nTo: t@example.org\n"
        "From: f@example.org\nMessage-ID: <a@example.org>\nDate: Mon, 5 Oct 2026 08:00:00 +0200\n"
    )
    post = enclosed.Post(
        raw=f"{fields}\nx".encode(),
        message_id="a@example.org",
        words=f"\n\nAbove.\n{'-' * 30}\n{'-' * 31}\nBelow.\n\n",
        page="",
        reply_to="",
        domains=frozenset(),
    )
    head, _, body = enclosed.in_words(post).partition("\n\n")
    names = ["Date", "From", "To", "Cc", "Subject", "Message-ID", "Keywords", "Summary"]
    assert re.findall(r"^([\w-]+):", head, re.MULTILINE) == names
    assert "Subject: a\n folded\n" in head
    assert body == f"Above.\n {'-' * 29}\n{'-' * 31}\nBelow."


def test_no_line_of_the_preamble_ends_it() -> None:
    made = digest_mail.in_words({"Message-ID": "<d@example.org>"}, f"Above\n{'-' * 70}\nBelow\n", ["a"], "Pump")
    preamble, messages, _ = undigested(text_of(made))
    assert (preamble, messages) == (f"Above\n {'-' * 69}\nBelow", ["a"])


# --- replies, and choosing -------------------------------------------------------------------------------------------


def test_a_reply_from_inside_goes_to_the_community_and_under_the_post(small_site: SmallSite) -> None:
    small_site.take_in(from_ana("Stock", "Two are left.\n", "stock@example.org"))
    (inside,) = map(parsed, burst(digest(small_site, "mime")))
    assert inside["Reply-To"] == PUMP
    answer = message(SAM, str(inside["Reply-To"]), f"Re: {inside['Subject']}", "Good.\n", "good@example.org")
    answer["In-Reply-To"] = str(inside["Message-ID"])
    small_site.take_in(answer, str(inside["Reply-To"]))
    assert small_site.tree()["good@example.org"][0] == "stock@example.org"


@pytest.mark.parametrize("kind", joining.FORMATS)
def test_a_reply_to_a_digest_of_any_format_is_put_under_its_item(small_site: SmallSite, kind: str) -> None:
    the_week(small_site)
    sent = parsed(digest(small_site, kind))
    text = text_of(sent.as_bytes())
    number = re.findall(r"^#(\d+) Stock", text, re.MULTILINE)[0]
    quoted = "\n".join(f"> {line}" for line in text.splitlines())
    to = sent["Reply-To"].addresses[0].addr_spec
    answer = message(
        SAM, to, "Re: Digest", f"#{number} Order more.\n\nOn Monday Pump wrote:\n{quoted}\n", "a@example.org"
    )
    answer["In-Reply-To"] = sent["Message-ID"]
    small_site.take_in(answer, to)
    assert small_site.tree()["a@example.org"][0] == "stock@example.org"


def test_a_format_is_chosen_by_a_word_at_a_digest(small_site: SmallSite) -> None:
    the_week(small_site)
    sent = parsed(digest(small_site, "html"))
    box = Letterbox(small_site)
    (told,) = box.write(sent["Reply-To"].addresses[0].addr_spec, "Format text\n", SAM, "Re: Digest")
    assert "From now on your digests come as text only." in told.text
    assert box.present(SAM).format == "text"
    assert small_site.count("post") == 3


def test_a_format_is_chosen_by_mail_and_told_by_which(small_site: SmallSite) -> None:
    box = Letterbox(small_site)
    (told,) = box.signed("pump+command@lists.example.org", "format mime\nformat pdf\nwhich\n")
    assert "Write one of these: format html, format text, format mime, format plain" in told.text
    assert "Digests come as text with the posts themselves attached (MIME)." in told.text
    assert box.present(SAM).format == "mime"


def test_a_format_is_a_column_of_an_import(small_site: SmallSite) -> None:
    rows: Sequence[dict[str, str]] = (
        {"email": "mei@example.org", "delivery": "weekly", "format": "plain"},
        {"email": "tom@example.org", "format": "pdf"},
    )
    with small_site.site.database.write() as connection:
        made = joining.import_members(connection, community="pump", rows=rows, now=WEDNESDAY)
        found = directory.member_by_address(connection, directory.community(connection, "pump").id, "mei@example.org")
    assert [one.verdict for one in made] == ["added", "refused"]
    assert found is not None
    assert found.format == "plain"


@pytest.mark.parametrize("kind", joining.FORMATS)
def test_nothing_is_wrong_with_a_digest_of_any_format(small_site: SmallSite, kind: str) -> None:
    the_week(small_site)
    assert lint(digest(small_site, kind)) == []


def test_what_is_wrong_with_a_digest_without_html_is_named(small_site: SmallSite) -> None:
    the_week(small_site)
    text = text_of(digest(small_site, "text"))
    wrong = digest_mail.text_alone({"Message-ID": "<d@example.org>"}, text.replace("#2 ", "#5 ") + "word " * 20)
    assert [one.check for one in lint(wrong)] == ["columns", "parts"]
    with pytest.raises(ValueError, match="no item has a reply address"):
        lint(b"Subject: Seal\r\n\r\nIt leaks.\r\n")
