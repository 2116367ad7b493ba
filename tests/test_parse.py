"""Reading one message: ids, authors, dates, and what makes two copies the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer.parse import parse, relations
from tidings.mailer.parsed import ParsedMessage
from tidings.settings import LimitSettings

LIMITS = LimitSettings()


def read(header: str, body: str = "Text.\n") -> ParsedMessage:
    return parse((header.strip("\n") + "\n\n" + body).encode("utf-8", "surrogateescape"), LIMITS)


@pytest.mark.acceptance(23)
@pytest.mark.parametrize(
    "header",
    [
        "From: a@example.org",
        "Message-ID:",
        "Message-ID: <>",
        "Message-ID: <a@x> <b@x>",
        "Message-ID: <a@x>\nMessage-ID: <b@x>",
        f"Message-ID: <{'a' * 10_000}@x>",
        "Message-ID: <no-at-sign>",
        "Message-ID: <ä@x>",
        "Message-ID: a@x",
    ],
)
def test_a_missing_double_long_or_odd_message_id_is_none(header: str) -> None:
    assert read(header).message_id == ""


@pytest.mark.acceptance(31)
def test_the_mark_that_an_editor_puts_before_a_message_is_passed_over() -> None:
    header = "\ufeffMessage-ID: <a@x>\nIn-Reply-To: <b@x>\nSubject: Valve"
    found = read(header)
    assert (found.message_id, found.subject, found.text) == ("a@x", "Valve", "Text.")
    assert relations(f"{header}\n\n".encode(), LIMITS).in_reply_to == found.in_reply_to == "<b@x>"


def test_a_folded_message_id_is_one() -> None:
    assert read("Message-ID:\n <a.b@x>").message_id == "a.b@x"


@pytest.mark.parametrize(
    "name",
    [
        '"=?utf-8?q?caf=C3=A9?="',
        "=?utf-8?b?Y2Fmww==?= =?utf-8?b?qQ==?=",
        "=?unknown-8bit?q?caf=E9?=",
        "caf\udcc3\udca9",
        "caf\udce9",
        "café",
    ],
)
def test_a_name_is_decoded_however_badly_it_was_encoded(name: str) -> None:
    found = read(f"From: {name} <a@example.org>\nTo: {name} <b@example.org>")
    assert (found.author_name, found.recipients) == ("café", "café <b@example.org>")


@pytest.mark.acceptance(27)
@pytest.mark.parametrize("charset", ["punycode", "utf\x008", "zlib", "rot13", "unicode_escape"])
def test_a_name_is_decoded_by_no_codec_but_for_text(charset: str) -> None:
    found = read(f"From: =?{charset}?q?a-b\\x41?= <a@example.org>")
    assert found.author_name in ("a-b\\x41", "=?utf8?q?a-b\\x41?=")
    assert found.author_email == "a@example.org"


@pytest.mark.acceptance(32)
@pytest.mark.parametrize("parameter", ["boundary", "charset", "name"])
def test_pieces_of_a_parameter_with_and_without_a_number_do_no_harm(parameter: str) -> None:
    pieces = f"{parameter}*=utf-8''a; {parameter}*0*=utf-8''b"
    assert read(f"Content-Type: text/plain; {pieces}").text == "Text."
    assert read(f"Content-Type: multipart/mixed; {pieces}").text == "Text."


def test_an_8_bit_name_above_a_korean_body_is_korean() -> None:
    name = "한글".encode("cp949").decode("utf-8", "surrogateescape")
    assert read(f"Subject: {name}\nContent-Type: text/plain; charset=ks_c_5601-1987").subject == "한글"
    assert read("Subject: caf\udce9\nContent-Type: text/plain; charset=koi8-r").subject == "café"


@pytest.mark.acceptance(22)
@pytest.mark.parametrize(
    ("field", "author"),
    [
        ("From: Ana <a@example.org>", ("Ana", "a@example.org")),
        ("From: a@example.org", ("a@example.org", "a@example.org")),
        ('From: "good@example.org" <evil@example.com>', ("good@example.org", "evil@example.com")),
        ("From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>", ("Jürgen", "j@example.org")),
        ("From: nobody", ("nobody", "")),
        ("From: MAILER DAEMON <>", ("MAILER DAEMON", "")),
        ('From: "=?utf-8?q?J=C3=BCrgen?=" <j at example.org>', ("Jürgen", "")),
        ('From: "good@example.org" <evil@@example.com', ("", "")),
        ("From: <>", ("", "")),
        ("Subject: no author", ("", "")),
        ("From: A <a@example.org>\nFrom: B <b@example.org>", ("A", "a@example.org")),
    ],
)
def test_there_is_one_author(field: str, author: tuple[str, str]) -> None:
    parsed = read(field)
    assert (parsed.author_name, parsed.author_email) == author


def test_eight_bit_header_bytes_are_utf8_or_else_windows_1252() -> None:
    assert parse("Subject: Prüfung\n\n".encode(), LIMITS).subject == "Prüfung"
    assert parse("Subject: Prüfung\n\n".encode("latin-1"), LIMITS).subject == "Prüfung"
    assert parse("From: Jürgen <j@example.org>\n\n".encode("latin-1"), LIMITS).author_name == "Jürgen"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Date: Wed, 14 Oct 2026 09:00:00 +0200", "2026-10-14T07:00:00+00:00"),
        ("Date: Wed, 14 Oct 2026 09:00:00", "2026-10-14T09:00:00+00:00"),
        ("Date: yesterday", None),
        ("Subject: no date", None),
        ("Date: Wed, 99 Oct 9999999 09:00:00 +9999", None),
    ],
)
def test_a_date_is_read_or_is_none(field: str, expected: str | None) -> None:
    date = read(field).date
    assert (date and date.isoformat()) == expected


@pytest.mark.acceptance(35)
@pytest.mark.parametrize(
    "field",
    ["Auto-Submitted: auto-replied", "Auto-Submitted: auto-generated; x=y", "Precedence: bulk", "Precedence: JUNK"],
)
def test_a_program_gives_itself_away(field: str) -> None:
    assert read(field).automatic


@pytest.mark.parametrize("field", ["Auto-Submitted: no", "Precedence: first-class", "Subject: auto"])
def test_a_person_does_not(field: str) -> None:
    assert read(field).automatic == ""


def test_copies_of_one_message_have_one_content_hash_whatever_the_way_they_came() -> None:
    header = "From: a@example.org\nDate: Wed, 14 Oct 2026 09:00:00 +0200\nSubject: Seal\nMessage-ID: <1@x>"
    plain = read(header)
    other_way = parse(
        ("Received: from x by y\nList-Id: <other.example.org>\n" + header + "\n\nText.\n\n")
        .replace("\n", "\r\n")
        .encode(),
        LIMITS,
    )
    assert plain.content_hash == other_way.content_hash
    assert plain.content_hash != read(header, "Another text.\n").content_hash
    assert plain.content_hash != read(header.replace("Seal", "Pump")).content_hash


@pytest.mark.acceptance(32)
@pytest.mark.parametrize(
    ("header", "folded"),
    [
        ("Subject: Valve 3 stuck", False),
        ("Subject: [pump] Valve 3 stuck\nThread-Index: AdZ1aXJzdCBtYWlsIG9mIGFsbCE=", False),
        ("Subject: Re: Valve 3 stuck", True),
        ("Subject: [pump] AW: Valve 3 stuck", True),
        ("Subject: Valve 3 stuck\nIn-Reply-To: <1@example.org>", True),
        ("Subject: Valve 3 stuck\nReferences: <1@example.org>", True),
    ],
)
def test_marks_without_an_attribution_are_a_quote_where_the_mail_may_answer_another(header: str, folded: bool) -> None:
    parsed = read(f"From: ann@example.org\n{header}", "It says:\n\n> valve 3 stuck\n")
    assert bool(parsed.folds) is folded


def test_white_space_before_a_colon_hides_no_field() -> None:
    raw = b"Subject : Valve\nFrom\t: Ann <ann@example.org>\nIn-Reply-To : <1@example.org>\n\nkept : as it is\n"
    parsed = parse(raw, LIMITS)
    assert (parsed.subject, parsed.author_email, parsed.text) == ("Valve", "ann@example.org", "kept : as it is")
    assert relations(raw, LIMITS).in_reply_to == parsed.in_reply_to == "<1@example.org>"
    assert parse(raw.replace(b"\n", b"\r\n"), LIMITS).subject == "Valve"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "header",
    [
        "Subject: Valve\nquite Delivered-To: b@example.org\nIn-Reply-To: <1@example.org>",
        ">From ann@example.org Mon Oct 12 09:00:00 2026\nSubject: Valve\nIn-Reply-To: <1@example.org>",
        "Subject: Valve\n>From ann@example.org Mon Oct 12 09:00:00 2026\nX-One : 1\n 2\nIn-Reply-To: <1@example.org>",
    ],
)
def test_a_line_among_the_fields_that_is_none_hides_no_field(header: str, end: str) -> None:
    raw = f"{header}\n\nno field\nSubject: in the text\n".replace("\n", end).encode()
    parsed = parse(raw, LIMITS)
    assert (parsed.subject, parsed.text) == ("Valve", "no field\nSubject: in the text")
    assert relations(raw, LIMITS).in_reply_to == parsed.in_reply_to == "<1@example.org>"


@pytest.mark.parametrize(
    "text",
    [
        "It says\nDate: tomorrow\nand no more",
        "It said:\nFrom: Ann <ann@example.org>\nSubject: Valve",
        "Hello\nValve: 3",
    ],
)
def test_a_text_without_an_empty_line_above_it_is_shown(text: str) -> None:
    parsed = parse(f"From: Ann <ann@example.org>\nSubject: Pump\n{text}\n\nEnd.\n".encode(), LIMITS)
    assert (parsed.subject, parsed.text) == ("Pump", f"{text}\n\nEnd.")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_below_an_empty_line_there_is_no_header(end: str) -> None:
    assert parse("\nIt says\nSubject: Valve\n\nEnd.\n".replace("\n", end).encode(), LIMITS).text.startswith(
        "It says\nSub"
    )


@given(st.binary(max_size=2_000))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    parsed = parse(data, LIMITS)
    parsed.text.encode()
    parsed.subject.encode()
    parsed.recipients.encode()


_PIECES = (
    *(b"References: <a@x>", b" <b@x>", b"\t<c@x>", b"In-Reply-To: <a@x> <b@x>", b"In-Reply-To:", b"List-Id: A <a.x>"),
    *(b"List-Id: <caf\xe9.x>", b"Thread-Index: AQHZ", b"Subject: x", b"From alice Mon", b"no field", b" ", b""),
    *(b">From alice Mon", b"no field\nReferences: <f@x>", b"From: a@x\nno field"),
    *(b"References : <d@x>", b"In-Reply-To\t: <e@x>"),
    *(b"Content-Type: multipart/mixed; boundary=b", b"--b", b"Content-Type: text/plain; charset=euc-kr", b": x"),
)


@given(st.lists(st.tuples(st.sampled_from(_PIECES), st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12))
def test_what_a_header_alone_says_of_others_is_what_the_whole_message_says(pieces: list[tuple[bytes, bytes]]) -> None:
    raw = b"".join(line + end for line, end in pieces)
    said, whole = relations(raw, LIMITS), parse(raw, LIMITS)
    assert all(getattr(said, name) == getattr(whole, name) for name in said.__struct_fields__)
