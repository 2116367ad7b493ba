"""The bytes of mail that goes out."""

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer import compose
from tidings.mailer.addresses import ListAddress
from tidings.mailer.compose import Copies, CopyFacts, alternative, crlf, header_field, list_copies, notice, splice
from tidings.tokens import Tokens

RAW = (
    b"Received: from there by here;\r\n\tMon, 2 Mar 2026 08:00:00 +0000\r\n"
    b"From: Maria <maria@example.org>\r\n"
    b"Subject: A seal\r\n that leaks\r\n"
    b"Message-ID: <one@example.org>\r\n"
    b"\r\n"
    b"It leaks.\r\n"
)
FACTS: dict[str, Any] = {
    "address": ListAddress(name="pump", domain="lists.example.org"),
    "title": "Pump people",
    "base_url": "https://tidings.example.org",
    "message_id": "one@example.org",
}


def parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def payloads(message: Any) -> list[Any]:
    """Those of all parts that have no parts."""
    return [part.get_payload() for part in message.walk() if not part.is_multipart()]


def content(part: Any) -> str:
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def no_bare_line_ends(data: bytes) -> bool:
    return not re.search(rb"\r(?!\n)|(?<!\r)\n", data)


def copies(raw: bytes = RAW, **facts: Any) -> Copies:
    return list_copies(raw, CopyFacts(**FACTS | facts))


def copy(raw: bytes = RAW, **facts: Any) -> bytes:
    """What all copies have."""
    return copies(raw, **facts).data


def test_fields_are_cut_out_with_their_folded_lines_and_all_else_stays_byte_for_byte() -> None:
    got = splice(RAW, remove=["SUBJECT", "received"], add=[("X-New", "1")])
    assert got == (b"X-New: 1\r\nFrom: Maria <maria@example.org>\r\nMessage-ID: <one@example.org>\r\n\r\nIt leaks.\r\n")


def test_nothing_asked_nothing_changed() -> None:
    odd = b"X-Odd:\t \xff\0 twice  \r\nx-odd : obsolete\r\n\r\n\r\n\0\xfe body without an end"
    assert splice(odd, remove=[], add=[]) == odd


def test_a_field_in_the_obsolete_form_is_cut_out_too() -> None:
    assert splice(b"List-Id : <x>\r\nSubject: y\r\n\r\nz", remove=["List-*"], add=[]) == b"Subject: y\r\n\r\nz"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_kind_of_line_end_goes_out_as_cr_lf(end: bytes) -> None:
    assert splice(RAW.replace(b"\r\n", end), remove=[], add=[]) == RAW


def test_a_field_that_hides_behind_a_bare_cr_is_cut_out() -> None:
    raw = b"Subject: x\rX-Tidings-Loop: pump@lists.example.org\r\n\r\nbody\r\n"
    assert splice(raw, remove=["X-Tidings-Loop"], add=[]) == b"Subject: x\r\n\r\nbody\r\n"


def test_a_continuation_on_the_first_line_does_not_continue_a_field_of_ours() -> None:
    got = splice(b" evil\r\nSubject: x\r\n\r\nbody", remove=[], add=[("List-Id", "<pump.lists.example.org>")])
    assert got == b"List-Id: <pump.lists.example.org>\r\nSubject: x\r\n\r\nbody"


def test_an_mbox_line_in_the_header_is_left_out() -> None:
    raw = b"From maria Mon Mar  2 08:00:00 2026\r\nSubject: x\r\n\r\nFrom here on\r\n"
    assert splice(raw, remove=[], add=[]) == b"Subject: x\r\n\r\nFrom here on\r\n"


def test_a_body_without_an_empty_line_before_it_gets_one() -> None:
    raw = b"Subject: x\r\nThis is no field\r\nList-Id: of the body\r\n"
    assert splice(raw, remove=["List-*"], add=[]) == b"Subject: x\r\n\r\nThis is no field\r\nList-Id: of the body\r\n"


@pytest.mark.parametrize("raw", [b"", b"Subject: x", b"Subject: x\r\n", b"\r\nbody"])
def test_a_message_that_lacks_a_part_still_goes_out_whole(raw: bytes) -> None:
    got = splice(raw, remove=[], add=[("X-New", "1")])
    assert got.startswith(b"X-New: 1\r\n") and b"\r\n\r\n" in got
    assert parsed(got)["Subject"] == parsed(raw)["Subject"]
    assert parsed(got).get_payload() == parsed(raw).get_payload()


@given(st.binary(max_size=300), st.sampled_from([b"\r\n", b"\n", b"\r", b""]))
def test_whatever_came_in_no_bare_line_end_goes_out_and_our_fields_are_the_only_ones_of_their_name(
    junk: bytes, end: bytes
) -> None:
    raw = junk + end + b"Subject: x" + end + b"List-Id: <other>" + end + junk + end + end + junk
    got = copy(raw)
    assert no_bare_line_ends(got)
    names = [name.lower() for name in email.message_from_bytes(got).keys()]  # noqa: SIM118  (a Message is no dict)
    assert [name for name in names if name.startswith("list-")] == [
        "list-id",
        "list-post",
        "list-help",
        "list-subscribe",
        "list-owner",
        "list-archive",
    ]
    assert names.count("x-tidings-loop") == 1


@given(st.binary(max_size=200))
def test_line_ends_are_normalised_as_a_line_by_line_reader_sees_them(data: bytes) -> None:
    assert crlf(data).split(b"\r\n") == re.split(rb"\r\n|\r|\n", data)


@pytest.mark.parametrize("hostile", [b"a" * 64, b"a:\n", b" \t", b"x:" + b" \n" * 8, b"\r", b"From \n", b"a :"])
def test_the_cost_of_splicing_grows_with_the_length(hostile: bytes) -> None:
    def cost(length: int) -> float:
        raw = (hostile * length)[:length]
        began = process_time()
        splice(raw, remove=["List-*"], add=[])
        return process_time() - began

    # Eight times the length; what is quadratic costs sixty-four times as much.
    assert min(cost(240_000) for _ in range(3)) < 24 * min(cost(30_000) for _ in range(5)) + 0.01


@pytest.mark.parametrize("value", ["a\r\nBcc: x@example.org", "a\nb", "a\rb", "a\0b", "é\nb"])
@pytest.mark.parametrize("name", ["Subject", "List-Id", "To"])
def test_a_value_that_would_end_its_field_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        splice(RAW, remove=[], add=[(name, value)])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        header_field(name, "x")


def test_an_encoded_line_end_in_a_value_stays_encoded() -> None:
    value = "=?utf-8?q?hello=0D=0ABcc:_x@example.org?="
    assert header_field("Subject", value) == f"Subject: {value}\r\n".encode()


@given(st.text(max_size=400).filter(lambda text: not re.search("[\r\n\0\ud800-\udfff]", text)))
def test_any_other_text_makes_one_subject_of_short_ascii_lines(text: str) -> None:
    got = header_field("Subject", text)
    assert got.isascii() and no_bare_line_ends(got) and got.endswith(b"\r\n")
    message = email.message_from_bytes(got + b"\r\n")
    assert message.keys() == ["Subject"]
    lines = got.split(b"\r\n")
    assert all(len(line) <= 78 or b" " not in line.strip() for line in lines[1:])


def test_what_was_encoded_reads_as_it_was_written() -> None:
    subject = "Dichtung an Pumpe 4 schlägt wieder an, " * 5 + "日本語"
    got = header_field("Subject", subject)
    assert parsed(got + b"\r\n")["Subject"] == subject
    assert max(map(len, got.split(b"\r\n"))) <= 78


def test_long_values_are_folded_between_words_only() -> None:
    ids = [f"<{number}.{'x' * 40}@example.org>" for number in range(30)]
    got = header_field("References", " ".join(ids))
    assert got.decode().split() == ["References:", *ids]
    assert max(map(len, got.split(b"\r\n"))) <= 78
    with pytest.raises(ValueError, match="does not fit"):
        header_field("References", "x" * 999)


def test_names_in_address_fields_are_encoded_and_addresses_are_not() -> None:
    got = parsed(header_field("To", 'Jörg <joerg@example.org>, "Li, Ana" <ana@example.org>') + b"\r\n")["To"]
    assert [(one.display_name, one.addr_spec) for one in got.addresses] == [
        ("Jörg", "joerg@example.org"),
        ("Li, Ana", "ana@example.org"),
    ]
    with pytest.raises(ValueError, match="ascii"):
        header_field("To", "jörg@example.org")


def test_a_structured_field_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(ValueError, match="In-Reply-To must be ASCII"):
        header_field("In-Reply-To", "<é@example.org>")


def test_a_list_copy_carries_the_fields_of_the_list() -> None:
    got = copy()
    message = parsed(got)
    assert got.endswith(RAW)
    assert {name: message[name] for name in message.keys()[:10]} == {
        "List-Id": '"Pump people" <pump.lists.example.org>',
        "List-Post": "<mailto:pump@lists.example.org>",
        "List-Help": "<mailto:pump+help@lists.example.org>",
        "List-Subscribe": "<mailto:pump+subscribe@lists.example.org>",
        "List-Owner": "<mailto:pump+owner@lists.example.org>",
        "List-Archive": "<https://tidings.example.org/c/pump/>",
        "Archived-At": "<https://tidings.example.org/c/pump/m/one@example.org/>",
        "Sender": "pump@lists.example.org",
        "Precedence": "list",
        "X-Tidings-Loop": "pump@lists.example.org",
    }


def test_each_copy_says_how_its_own_reader_leaves_by_one_click_or_by_mail() -> None:
    made = copies()
    token = Tokens(b"k" * 32).leave(7)
    message = parsed(made.head(token) + made.data)
    link = f"<https://tidings.example.org/u/{token}>"
    assert message["List-Unsubscribe"] == f"{link}, <mailto:pump+unsubscribe@lists.example.org>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert Tokens(b"k" * 32).read_leave(token) == 7
    dashed = copies(address=ListAddress(name="pump", domain="mail.example.org", separator="-"))
    assert b"<mailto:pump-unsubscribe@mail.example.org>" in dashed.head(token)


JOERG = ("Jörg Ångström", "joerg@strict.example.org")


def test_a_reply_goes_where_the_community_wants_it() -> None:
    assert parsed(copy(author=JOERG, replies="author"))["Reply-To"] is None
    message = parsed(copy(author=JOERG, replies="list"))
    assert message["Reply-To"] == "pump@lists.example.org"
    assert message["From"] == parsed(RAW)["From"]


@pytest.mark.acceptance(45)
def test_from_is_the_communitys_where_the_authors_domain_forbids_another_server_to_use_it() -> None:
    message = parsed(copy(author=JOERG, replies="author", on_behalf=True))
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Jörg Ångström via Pump people", "pump@lists.example.org")
    assert [(one.display_name, one.addr_spec) for one in message["Reply-To"].addresses] == [JOERG]


def test_where_replies_go_to_the_list_an_author_without_a_from_stands_in_cc_beside_who_stood_there() -> None:
    raw = RAW.replace(b"Subject:", b"Cc: Raj <raj@example.org>,\r\n  li@example.org\r\nSubject:", 1)
    message = parsed(copy(raw, author=JOERG, replies="list", on_behalf=True))
    assert [one.addr_spec for one in message["Cc"].addresses] == ["raj@example.org", "li@example.org", JOERG[1]]
    assert message["Reply-To"] == "pump@lists.example.org"
    assert len(message.get_all("Cc")) == len(message.get_all("From")) == 1


@pytest.mark.acceptance(61)
@pytest.mark.parametrize(
    "name", ["x\r\nBcc: y@example.org", 'a" <b@example.org>, "', "=?utf-8?q?x=0D=0Ay?=", "", "日本"]
)
@pytest.mark.parametrize("cc", [b"x" * 2000, b"\xff\xfe", b"a b c <", b"Raj <raj@example.org>"])
def test_whatever_an_author_is_called_a_rewritten_copy_has_one_from_of_ours(name: str, cc: bytes) -> None:
    raw = RAW.replace(b"Subject:", b"Cc: " + cc + b"\r\nSubject:", 1)
    for replies in ("list", "author"):
        message = parsed(copy(raw, author=(name, "ana@example.org"), replies=replies, on_behalf=True))
        assert [one.addr_spec for one in message["From"].addresses] == ["pump@lists.example.org"]
        assert message["Bcc"] is None
        assert len(message.get_all("Reply-To")) == 1


def subject(value: bytes, prefix: str = "[Pump]", **facts: Any) -> bytes:
    """The Subject field of a copy, as the bytes that it is."""
    got = copy(RAW.replace(b"Subject: A seal\r\n that leaks\r\n", value), subject_prefix=prefix, **facts)
    (found,) = re.findall(rb"(?im)^(Subject[^\r]*\r\n(?:[ \t][^\r]*\r\n)*)", got.partition(b"\r\n\r\n")[0] + b"\r\n")
    assert max(map(len, found.split(b"\r\n"))) <= max(78, *map(len, value.split(b"\r\n")))
    return bytes(found)


@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (b"Subject: A seal\r\n that leaks\r\n", b"Subject: [Pump] A seal\r\n that leaks\r\n"),
        (b"SUBJECT :\t A  seal \r\n", b"SUBJECT : [Pump] A  seal \r\n"),
        (b"Subject:\r\n A seal\r\n", b"Subject: [Pump]\r\n A seal\r\n"),
        (b"Subject:\r\n", b"Subject: [Pump]\r\n"),
        (b"", b"Subject: [Pump]\r\n"),
        (b"Subject: Re: A seal\r\n", b"Subject: [Pump] Re: A seal\r\n"),
        (b"Subject: =?utf-8?q?Dichtung_h=C3=A4lt?=\r\n", b"Subject: [Pump] =?utf-8?q?Dichtung_h=C3=A4lt?=\r\n"),
        (b"Subject: h\xe4lt\r\n", b"Subject: [Pump] h\xe4lt\r\n"),
        (b"Subject: " + b"x" * 69 + b"\r\n", b"Subject: [Pump]\r\n " + b"x" * 69 + b"\r\n"),
        (b"Subject: [Pum] a =?junk?= =?\r\n", b"Subject: [Pump] [Pum] a =?junk?= =?\r\n"),
    ],
)
def test_a_prefix_is_put_before_the_subject_which_stays_byte_for_byte(came: bytes, goes: bytes) -> None:
    assert subject(came) == goes
    assert subject(goes) == goes
    if came:
        assert subject(came, "") == came


@pytest.mark.parametrize(
    "came",
    [
        b"Subject: [Pump] A seal\r\n",
        b"Subject: Re: AW: [pump] A seal\r\n",
        b"Subject: A seal (was: [Pump] a leak)\r\n",
        b"Subject: Re:\r\n\t[Pump]\r\n",
        b"Subject: =?utf-8?q?Re=3A_=5BPump=5D_h=C3=A4lt?=\r\n",
        b"Subject: =?utf-8?b?W1B1?= =?utf-8?b?bXBdIGE=?=\r\n",
    ],
)
def test_a_subject_that_has_the_prefix_stays_as_it_came(came: bytes) -> None:
    assert subject(came) == came


@pytest.mark.parametrize("value", ["A seal", "=?utf-8?q?h=C3=A4lt?=", "=?utf-8?q?h=C3=A4lt?= it", "a" * 70, "=?odd"])
@pytest.mark.parametrize("prefix", ["[Pümpe]", "[日本語 " + "語" * 30 + "]"])
def test_a_prefix_of_other_letters_is_encoded_and_what_follows_is_not(prefix: str, value: str) -> None:
    got = subject(f"Subject: {value}\r\n".encode(), prefix)
    assert got.isascii() and got.endswith(f" {value}\r\n".encode())
    shown = parsed(got + b"\r\n")["Subject"]
    assert " ".join(shown.split()) == f"{prefix} {value.replace('=?utf-8?q?h=C3=A4lt?=', 'hält')}"
    assert subject(got, prefix) == got
    assert subject(f"Subject: Re: {prefix} {value}\r\n".encode(), prefix).startswith(f"Subject: Re: {prefix}".encode())


def test_a_subject_of_ours_in_the_place_of_the_posts_has_the_prefix_too() -> None:
    for ours in ("Re: Ein Siegel für Pumpe 4", "Re: [Pump] Ein Siegel für Pumpe 4"):
        got = parsed(copy(fields={"subject": ours}, subject_prefix="[Pump]"))
        (value,) = got.get_all("Subject")
        assert value == (ours if "[Pump]" in ours else "[Pump] " + ours)


def test_a_prefix_is_known_again_whatever_white_space_a_mail_program_makes_of_it() -> None:
    came = b"Subject: Re: [Pump 4]\r\n\tA seal\r\n"
    assert subject(came, "[Pump  4]") == came


def test_of_several_subjects_the_first_has_the_prefix() -> None:
    got = email.message_from_bytes(copy(b"Subject: one\r\nSubject: two\r\n" + RAW, subject_prefix="[Pump]"))
    assert got.get_all("Subject")[:2] == ["[Pump] one", "two"]


@given(st.binary(max_size=200), st.text(max_size=40))
def test_a_prefix_before_junk_makes_no_exception_and_no_other_field(junk: bytes, prefix: str) -> None:
    prefix = " ".join("".join(letter if letter.isprintable() else " " for letter in prefix).split())
    raw = b"Subject:" + junk + b"\r\n" + RAW
    got, plain = copy(raw, subject_prefix=prefix), copy(raw)
    assert no_bare_line_ends(got)
    assert email.message_from_bytes(got).keys() == email.message_from_bytes(plain).keys()
    assert email.message_from_bytes(got).get_payload() == email.message_from_bytes(plain).get_payload()


TOKEN = "k3dq7x" * 5


@pytest.mark.parametrize("name", ["To", "Cc", "CC", "Received", "Delivered-To", "Reply-To"])
@pytest.mark.parametrize(
    ("came", "goes"),
    [
        (f"pump+r.{TOKEN}@lists.example.org", "pump@lists.example.org"),
        (f"<pump-r.{TOKEN}@Lists.Example.org>,\r\n\tli@example.org", "<pump@Lists.Example.org>,\r\n\tli@example.org"),
        (f'"pump+b.{TOKEN}"@lists.example.org', '"pump"@lists.example.org'),
        (f"Pump+CONFIRM.{TOKEN.upper()}@LISTS.example.org.", "Pump@LISTS.example.org."),
        (f"from x for <pump+r.{TOKEN}@lists.example.org>; Mon", "from x for <pump@lists.example.org>; Mon"),
        (f"valves+r.{TOKEN}@site.example.org (a)", "valves@site.example.org (a)"),
        (f'"pump-r.{TOKEN}@lists.example.org" <x@example.org>', '"pump@lists.example.org" <x@example.org>'),
        *[
            (kept, kept)
            for kept in (
                f"pump+r.{TOKEN}@example.org",
                f"pump+r.{TOKEN}@lists.example.org.example.com",
                f"pump+r.{TOKEN}@lists.example.organic",
                f"pump+x.{TOKEN}@lists.example.org",
                f"pump+r.{TOKEN}1@lists.example.org",
                f"+r.{TOKEN}@lists.example.org",
                "ana+r.smith@lists.example.org",
                "pump+help@lists.example.org",
                "  pump@lists.example.org ,, \xff",
            )
        ],
    ],
)  # fmt: skip
def test_our_addresses_lose_their_tokens_in_the_header_and_all_else_stays(name: str, came: str, goes: str) -> None:
    raw = f"{name}: {came}\r\n".encode("latin-1") + RAW.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    body = f"{came} in the text stays\r\n".encode("latin-1")
    got = copy(raw + body, site_domain="site.example.org")
    assert got.endswith(raw.replace(came.encode("latin-1"), goes.encode("latin-1")) + body)


def test_a_message_id_stays_whatever_it_looks_like() -> None:
    odd = f"pump+r.{TOKEN}@lists.example.org"
    raw = RAW.replace(b"one@example.org", odd.encode()).replace(b"Subject", f"References: <{odd}>\r\nSubject".encode())
    assert copy(raw, message_id=odd).endswith(raw)


@pytest.mark.parametrize("hostile", [b"pump+r.", b"a", b"+r.k", b"+r." + b"k" * 60, b'"', b"@lists.example.org"])
def test_the_cost_of_looking_for_tokens_grows_with_the_length(hostile: bytes) -> None:
    def cost(length: int) -> float:
        raw = b"To: @" + (hostile * length)[:length] + b"\r\n\r\n"
        began = process_time()
        copy(raw)
        return process_time() - began

    assert min(cost(240_000) for _ in range(3)) < 24 * min(cost(30_000) for _ in range(5)) + 0.01


HOSTILE = [
    "A seal\r\nBcc: x@example.org",
    "=?utf-8?q?A_seal=0D=0ABcc:_x@example.org?=",
    "=?utf-8?b?QSBzZWFsDQpCY2M6IHhAZXhhbXBsZS5vcmc=?=",
    "A seal\rBcc: x@example.org",
    "A\0seal\x0bBcc: x@example.org\u2028Bcc: x@example.org\x85Bcc: x@example.org",
    "<https://x.example.org>, <mailto:x@example.org>",
    'x" <x@example.org>, "y',
    "{token}",
    "日本語 " * 100,
]


@pytest.mark.acceptance(61)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_subject_name_or_title_says_every_copy_has_the_fields_of_the_template_and_two_of_its_own(
    hostile: str,
) -> None:
    value = re.sub(r"\r\n?", "\r\n ", hostile).encode()  # what the listener lets in has no bare CR
    raw = RAW.replace(b"A seal", value).replace(b"Maria", value)
    made = copies(raw, title=hostile, subject_prefix="[Pump]", footer="{title}\n{post}")
    template = email.message_from_bytes(made.data)
    assert "Bcc" not in template and len(template.get_all("List-Id", [])) == 1
    for member in range(20):
        got = made.head(Tokens(b"k" * 32).leave(member)) + made.data
        message = email.message_from_bytes(got)
        assert message.keys() == ["List-Unsubscribe", "List-Unsubscribe-Post", *template.keys()]
        assert message.values()[2:] == template.values()
        assert payloads(message) == payloads(template)
        assert no_bare_line_ends(got)


@pytest.mark.acceptance(61)
@given(st.binary(max_size=200), st.text(max_size=60))
def test_every_copy_of_anything_has_the_fields_of_its_template(junk: bytes, title: str) -> None:
    made = copies(junk + b"\r\n" + RAW, title=title, subject_prefix="[Pump]", footer="{title}")
    template = email.message_from_bytes(made.data)
    message = email.message_from_bytes(made.head("abc234") + made.data)
    assert message.items()[2:] == template.items() and payloads(message) == payloads(template)


@pytest.mark.acceptance(61)
@pytest.mark.parametrize("token", ["", "a\r\nBcc: x@example.org", "a>", "A", "a1", "a b", "a\n", "ä"])
def test_what_is_no_token_never_stands_in_a_copy(token: str) -> None:
    with pytest.raises(ValueError, match="base32"):
        copies().head(token)


@pytest.mark.acceptance(61)
@pytest.mark.parametrize("slipped_in", [b"\r\nBcc: x@example.org\r\n", b"\r\n\r\nbody", b"\r\nno field\r\n"])
def test_a_header_block_that_came_out_otherwise_than_intended_is_not_sent(
    slipped_in: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compose.header_field
    monkeypatch.setattr(compose, "header_field", lambda name, value: whole(name, value)[:-2] + slipped_in)
    with pytest.raises(ValueError, match="other fields than intended"):
        copy()
    with pytest.raises(ValueError, match="other fields than intended"):
        notice(**NOTICE)
    with pytest.raises(ValueError, match="other fields than intended"):
        alternative(EDITION, text="a", html="b")


def test_what_another_list_or_the_last_hop_said_is_not_passed_on() -> None:
    came = (
        b"Return-Path: <x@example.org>\r\nList-Id: <other.example.org>\r\nlist-help: <mailto:x@example.org>\r\n"
        b"Precedence: bulk\r\nArchived-At: <http://x.example.org>\r\nX-Tidings-Loop: other@example.org\r\n"
        b"Disposition-Notification-To: maria@example.org\r\n"
    )
    assert copy(came + RAW) == copy()


def test_the_archived_at_address_is_percent_encoded() -> None:
    raw = RAW.replace(b"<one@example.org>", b"<a/b?c#d%e+f@example.org>")
    got = parsed(copy(raw, message_id="a/b?c#d%e+f@example.org"))
    assert got["Archived-At"] == "<https://tidings.example.org/c/pump/m/a%2Fb%3Fc%23d%25e%2Bf@example.org/>"


@pytest.mark.parametrize("title", ['Pumps "and" valves\\', "Pumpen für alle", "Line\r\nBcc: x@example.org", "x" * 300])
def test_any_title_makes_one_list_id(title: str) -> None:
    message = email.message_from_bytes(copy(title=title))
    assert message.get_all("List-Id") is not None and message["List-Id"].endswith("<pump.lists.example.org>")
    assert "Bcc" not in message


def test_the_authors_message_id_is_kept() -> None:
    assert copy().count(b"\r\nMessage-ID: <one@example.org>\r\n") == 1


@pytest.mark.parametrize("came", [b"", b"Message-ID: <other@example.org>\r\n", b"Message-ID: <ours@x>\r\n" * 2])
def test_a_copy_carries_our_id_where_the_archive_could_not_keep_the_authors(came: bytes) -> None:
    raw = RAW.replace(b"Message-ID: <one@example.org>\r\n", came)
    assert email.message_from_bytes(copy(raw, message_id="ours@x")).get_all("Message-ID") == ["<ours@x>"]


def test_fields_of_the_post_can_be_replaced_and_left_out() -> None:
    got = parsed(
        copy(fields={"subject": "Re: Ein Siegel für Pumpe 4", "Received": None, "In-Reply-To": "<zero@example.org>"})
    )
    assert got["Subject"] == "Re: Ein Siegel für Pumpe 4"
    assert got["Received"] is None
    assert got["In-Reply-To"] == "<zero@example.org>"
    assert got.get_all("Subject") == [got["Subject"]]


def test_a_replaced_list_field_takes_the_place_of_ours() -> None:
    assert parsed(copy(fields={"precedence": "bulk", "List-Archive": None})).get_all("Precedence") == ["bulk"]
    assert parsed(copy(fields={"List-Archive": None}))["List-Archive"] is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Yes, it held.\n", "7bit"),
        ("Ja, sie hält seit Dienstag.\n", "quoted-printable"),
        ("a long line " * 200 + "\n", "quoted-printable"),
        ("はい、大丈夫です。\n" * 20, "base64"),
        ("", "7bit"),
        (".\n..\nFrom here\n \n", "7bit"),
    ],
)
def test_a_text_can_take_the_place_of_the_body(text: str, encoding: str) -> None:
    raw = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Language: de\r\n" + RAW
    message = parsed(got := copy(raw, body=text))
    assert message["Content-Transfer-Encoding"] == encoding
    assert (message.get_content_type(), message.get_content_charset()) == ("text/plain", "utf-8")
    assert content(message) == text
    assert message["Content-Language"] is None and message.get_all("MIME-Version") == ["1.0"]
    assert message["From"] == "Maria <maria@example.org>" and b"It leaks" not in got
    assert got.isascii() and no_bare_line_ends(got) and max(map(len, got.split(b"\r\n"))) <= 98


@given(st.text(max_size=300))
def test_any_text_survives_as_a_body_but_for_what_mail_cannot_carry(text: str) -> None:
    got = content(parsed(copy(body=text)))
    wanted = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    wanted = wanted.replace("\r\n", "\n").replace("\r", "\n")
    assert got == (wanted if not wanted or wanted.endswith("\n") else wanted + "\n")


NOTICE: dict[str, Any] = {
    "site": "Tidings",
    "sender": "postmaster@lists.example.org",
    "recipient": "maria@example.org",
    "subject": "Welcome to Pumpen für alle",
    "text": "Hello Maria,\n\nyou are in.\n",
    "date": datetime(2026, 3, 2, 8, 0, tzinfo=UTC),
    "domain": "lists.example.org",
}


def test_a_notice_says_that_a_machine_wrote_it() -> None:
    message = parsed(raw := notice(**NOTICE))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "Tidings <postmaster@lists.example.org>"
    assert message["To"] == "maria@example.org"
    assert message["Subject"] == "Welcome to Pumpen für alle"
    assert message["Date"] == "Mon, 02 Mar 2026 08:00:00 +0000"
    assert message["Message-ID"].endswith("@lists.example.org>")
    assert content(message) == "Hello Maria,\n\nyou are in.\n"
    assert raw.isascii() and no_bare_line_ends(raw)


def test_every_notice_has_a_message_id_of_its_own() -> None:
    assert parsed(notice(**NOTICE))["Message-ID"] != parsed(notice(**NOTICE))["Message-ID"]


def test_an_answering_notice_names_what_it_answers() -> None:
    message = parsed(notice(**NOTICE | {"answers": "one@example.org"}))
    assert (message["Auto-Submitted"], message["In-Reply-To"]) == ("auto-replied", "<one@example.org>")
    assert message["References"] == "<one@example.org>"


@pytest.mark.parametrize("key", ["recipient", "subject", "sender", "domain", "answers"])
def test_a_notice_with_a_line_end_in_a_field_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        notice(**NOTICE | {key: "x@example.org\r\nBcc: y@example.org"})


EDITION = {
    "From": "Pump people <pump@lists.example.org>",
    "Subject": "Pump people weekly: für dich",
    "Message-ID": "<edition.1@lists.example.org>",
}


def test_an_edition_carries_the_same_content_as_text_and_as_html() -> None:
    raw = alternative(EDITION, text="Für dich\n", html="<p>Für dich</p>" * 100)
    message = parsed(raw)
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), content(text)) == ("text/plain", "Für dich\n")
    assert (html.get_content_type(), content(html)) == ("text/html", "<p>Für dich</p>" * 100 + "\n")
    assert message["Subject"] == "Pump people weekly: für dich" and message["MIME-Version"] == "1.0"
    assert raw.isascii() and no_bare_line_ends(raw) and max(map(len, raw.split(b"\r\n"))) <= 78
    assert not message.defects and not text.defects and not html.defects


def test_assembling_an_edition_twice_gives_the_same_bytes() -> None:
    first = alternative(EDITION, text="a", html="b")
    assert first == alternative(EDITION, text="a", html="b")
    other = alternative(EDITION | {"Message-ID": "<edition.2@lists.example.org>"}, text="a", html="b")
    assert parsed(other).get_boundary() != parsed(first).get_boundary()


MEETING = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nX-LONG:a \r\n  b\r\nEND:VCALENDAR\r\n"


def test_a_meeting_is_the_last_form_of_an_edition_and_stays_byte_for_byte() -> None:
    raw = alternative(EDITION, text="a", html="b", calendar=MEETING)
    message = parsed(raw)
    kinds = ["text/plain", "text/html", "text/calendar"]
    assert [part.get_content_type() for part in message.iter_parts()] == kinds
    part = list(message.iter_parts())[-1]
    assert (part.get_param("method"), part.get_content_charset()) == ("REQUEST", "utf-8")
    assert part.get_payload(decode=True) == MEETING
    assert raw.isascii() and no_bare_line_ends(raw) and not message.defects


@pytest.mark.parametrize("calendar", [b"BEGIN:VCALENDAR\r\n", b"METHOD:a b\r\n", b"X:METHOD:REQUEST\r\n"])
def test_a_calendar_without_a_method_is_for_no_mail(calendar: bytes) -> None:
    with pytest.raises(ValueError, match="METHOD"):
        alternative(EDITION, text="a", html="b", calendar=calendar)


def test_an_edition_without_a_message_id_is_refused() -> None:
    with pytest.raises(KeyError):
        alternative({"Subject": "x"}, text="a", html="b")


@given(st.text(st.characters(codec="utf-8", max_codepoint=0xFF), max_size=200), st.integers(70, 90))
def test_a_plain_text_is_the_same_part_without_a_look_at_it(text: str, length: int) -> None:
    for one in (text, f"{text}\n{'x' * length}\n"):
        fields, data = compose.text_part(one, "plain")
        if compose.is_plain(one):
            assert dict(fields)["Content-Transfer-Encoding"] == "7bit"
            assert compose.plain_part(one, "plain") == (fields, data)
