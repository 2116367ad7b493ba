"""What is shown of a message: which parts, in which charset, and nothing that storage or a page would trip over."""

import base64
import email
import hashlib
import time
from email.header import Header
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.errors import MessageTooComplexError
from tidings.mailer import html_text
from tidings.mailer.charsets import decode, decode_header_text
from tidings.mailer.text import Shown, display, part_bytes
from tidings.mailer.tolerant import read_message


def parsed(raw: bytes | str) -> Message:
    return email.message_from_bytes(raw if isinstance(raw, bytes) else raw.encode())


def shown(raw: bytes | str) -> Shown:
    return display(parsed(raw))


def text_of(content_type: str, body: bytes | str, *fields: str) -> str:
    head = "\n".join([f"Content-Type: {content_type}", *fields]) + "\n\n"
    return shown(head.encode() + (body if isinstance(body, bytes) else body.encode())).text


def multipart(kind: str, *parts: str, boundary: str = "b") -> str:
    inner = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{inner}--{boundary}--\n'


PLAIN = "Content-Type: text/plain\n\nplain words"
HTML = "Content-Type: text/html\n\n<p>html words</p>"
BLANK = "Content-Type: text/plain\n\n  \n\n"
FORWARDED = "Content-Type: message/rfc822"
PICTURE = "Content-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\niVBORw=="


def test_of_alternatives_the_plain_text_is_shown() -> None:
    assert shown(multipart("alternative", PLAIN, HTML)).text == "plain words"


def test_html_is_shown_where_the_plain_text_is_blank() -> None:
    assert shown(multipart("alternative", BLANK, HTML)).text == "html words"


def test_html_beside_pictures_gives_way_to_the_plain_text_and_the_pictures_stay_attachments() -> None:
    found = shown(multipart("alternative", PLAIN, multipart("related", HTML, PICTURE, boundary="c")))
    assert found.text == "plain words"
    assert [(part.position, part.filename, part.size) for part in found.attachments] == [(4, "a.png", 4)]


def test_texts_of_a_mixed_message_are_joined_by_a_blank_line() -> None:
    patch = "Content-Type: text/x-patch; name=fix.patch\nContent-Disposition: inline\n\n--- a\n+++ b"
    assert shown(multipart("mixed", PLAIN, HTML, patch)).text == "plain words\n\nhtml words\n\n--- a\n+++ b"


def test_a_text_sent_as_an_attachment_is_one() -> None:
    note = "Content-Type: text/plain; name=x.txt\nContent-Disposition: attachment; filename=note.txt\n\nhidden"
    found = shown(multipart("mixed", PLAIN, note))
    assert found.text == "plain words"
    assert [(part.filename, part.content_type, part.size) for part in found.attachments] == [
        ("note.txt", "text/plain", 6)
    ]


def test_positions_are_those_of_walk_past_a_forwarded_message() -> None:
    forwarded = "Content-Type: message/rfc822\n\nSubject: =?utf-8?q?Old_n=C3=A9ws?=\n" + multipart(
        "mixed", PLAIN, boundary="c"
    )
    message = parsed(multipart("mixed", PLAIN, forwarded, PICTURE))
    found = display(message)
    assert found.text == "plain words"
    assert [part.filename for part in found.attachments] == ["forwarded message: Old néws", "a.png"]
    kinds = [part.get_content_type() for part in message.walk()]
    assert [kinds[part.position] for part in found.attachments] == ["message/rfc822", "image/png"]


def test_the_size_of_a_mail_inside_the_mail_is_that_of_the_file_that_it_becomes() -> None:
    report = "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@example.org"
    inside = f"Subject: {'x ' * 60}\n folded\nX-Odd: \xe9\n{multipart('mixed', PLAIN, PICTURE, boundary='c')}"
    passed_on = f"{FORWARDED}\n\n{inside}"
    message = read_message(multipart("mixed", PLAIN, report, passed_on).encode())
    found = display(message).attachments
    assert [part.size for part in found] == [len(part_bytes(message, part.position) or b"") for part in found]
    assert part_bytes(message, found[1].position) == inside.encode()
    assert found[0].size > 60


def test_a_forwarded_mail_that_is_broken_can_be_had_all_the_same() -> None:
    raw = b"Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\ncaf\xc3\xa9\n"
    assert part_bytes(read_message(raw), 0) == raw.partition(b"\n\n")[2]


def test_a_broken_multipart_is_shown_as_it_stands() -> None:
    assert "words" in text_of("multipart/mixed", "--x\n\nwords\n")


def test_a_missing_or_illegal_type_counts_as_plain_text() -> None:
    assert shown("Subject: x\n\nwords").text == "words"
    assert text_of("nonsense", "words") == "words"
    assert shown("Content-Type: application/pdf name=x\n\nwords").attachments[0].content_type == "application/pdf"


@pytest.mark.acceptance(31)
def test_what_cannot_be_read_has_a_note() -> None:
    found = shown("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nAAAA")
    assert found.text == ""
    assert "encrypted" in found.notes[0]
    assert found.attachments[0].filename.startswith("part-0")


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(
    ("content_type", "encoding", "body", "seen"),
    [
        ("text/plain; charset=utf-8", "base64", "d8O2cnRlcg==", "wörter"),
        ("text/plain; charset=utf-8", "base64", "d8O2cnRlcg", "wörter"),
        ("text/plain; charset=iso-8859-1", "quoted-printable", "w=F6rter=\n hier", "wörter hier"),
        ("text/plain; charset=utf-8", "7bit", b"w\xf6rter", "wörter"),
        ("text/plain", "8bit", b"w\xc3\xb6rter", "wörter"),
        ("text/plain; charset=utf-8", "nonsense", "words", "words"),
        ("text/plain; charset=iso-2022-jp", "7bit", b"\x1b$B$O$$\x1b(B", "はい"),
        ("text/plain; charset*=utf-8''koi8-r", "8bit", "да".encode("koi8-r"), "да"),
    ],
)
def test_bodies_are_decoded_or_guessed(content_type: str, encoding: str, body: str | bytes, seen: str) -> None:
    assert text_of(content_type, body, f"Content-Transfer-Encoding: {encoding}") == seen


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (">> a \n> b \n>c", "> > a\n> b c"),
        ("one \n\ntwo \nthree", "one\n\ntwo three"),
        ("> one \n> \n> two", "> one\n>\n> two"),
        (" >mine \n From here", ">mine From here"),
        ("> a \n> -- \n> Ann \n> Pump", "> a\n> --\n> Ann Pump"),
        ("a \n-- \nAnn", "a\n-- \nAnn"),
    ],
)
def test_flowed_text_is_read_as_its_programs_write_it(body: str, seen: str) -> None:
    assert text_of("text/plain; format=flowed", body) == seen


def test_flowed_lines_are_joined_and_quotes_keep_their_depth() -> None:
    body = "One \nline.\n>> deep \n>> er\n> up\n mine\n-- \nAnn\n"
    assert text_of("text/plain; format=flowed", body) == "One line.\n> > deep er\n> up\nmine\n-- \nAnn"


@pytest.mark.acceptance(31)
def test_delsp_takes_the_space_of_a_soft_break_away() -> None:
    assert text_of("text/plain; format=flowed; delsp=yes", "はい \nそう\nend \n") == "はいそう\nend"


def test_line_ends_are_lf_and_trailing_space_goes_but_for_the_signature_separator() -> None:
    assert text_of("text/plain", "a  \r\nb\t\r\n-- \r\nAnn\r\n") == "a\nb\n-- \nAnn"


@pytest.mark.acceptance(28)
def test_nul_controls_and_surrogates_go() -> None:
    assert text_of("text/plain; charset=utf-8", b"a\x00b\x1b[31mc\x7f") == "ab[31mc"
    assert text_of("text/html; charset=utf-8", "a&#0;b&#xD800;c").encode()


def test_a_text_over_the_limit_is_cut_and_says_so() -> None:
    found = display(parsed("Subject: x\n\n" + "0123456789" * 10), limit=42)
    assert len(found.text) == 42
    assert found.notes == ("The text was cut after 42 characters.",)


@pytest.mark.acceptance(18)
def test_too_many_parts_are_refused() -> None:
    raw = multipart("mixed", *[PLAIN] * 30)
    assert len(display(parsed(raw), parts=31).text.split()) == 60
    with pytest.raises(MessageTooComplexError, match="too many parts"):
        display(parsed(raw), parts=30)


@pytest.mark.acceptance(17)
def test_parts_nested_too_deep_are_refused() -> None:
    raw = PLAIN
    for level in range(60):
        raw = multipart("mixed", raw, boundary=f"b{level}")
    assert display(parsed(raw), depth=60).text == "plain words"
    with pytest.raises(MessageTooComplexError, match="too deep"):
        display(parsed(raw))


# --- charsets --------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(27)
@pytest.mark.parametrize(
    "charset",
    [
        *[
            "punycode",
            "idna",
            "undefined",
            "unicode_escape",
            "raw_unicode_escape",
            "zlib",
            "bz2",
            "hex",
            "base64",
        ],
        *["rot13", "uu", "mbcs", "oem", "../x", "x" * 5000, "\0", "", "unknown-8bit", "utf-8\n", "encodings.utf_8"],
    ],
)
def test_no_codec_but_for_text_is_used(charset: str) -> None:
    assert decode(b"caf\xc3\xa9 +AOk- \\x41 a-b", charset) == "café +AOk- \\x41 a-b"
    assert decode(b"caf\xe9", charset) == "café"


@pytest.mark.acceptance(27)
@given(
    data=st.binary(), charset=st.sampled_from(["utf-16", "utf-32-le", "hz", "iso-2022-kr", "gb2312", "big5", "cp1252"])
)
def test_a_lying_charset_never_raises(data: bytes, charset: str) -> None:
    assert isinstance(decode(data, charset), str)


def test_charsets_mean_what_mail_means_by_them() -> None:
    assert decode(b"\x93quoted\x94", "iso-8859-1") == "“quoted”"
    assert decode(b"caf\xc3\xa9 \xff", "us-ascii") == "café \ufffd"
    assert decode("한글".encode("cp949"), "ks_c_5601-1987") == "한글"


@pytest.mark.acceptance(27)
@pytest.mark.parametrize(
    ("data", "charset", "seen"),
    [
        ("café".encode(), "iso-8859-1", "café"),
        (b"caf\xe9", "utf-8", "café"),
        (b"caf\xef\xbf\xbd", "utf-8", "caf\ufffd"),
        (b"caf\xef\xbf\xbd \xe9 \xe8", "utf-8", "cafï¿½ é è"),
        ("日本語の本".encode(), "gb2312", "日本語の本"),
        ("鎔".encode("gb18030"), "gb2312", "鎔"),
        ("한글".encode("cp949"), "x-windows-949", "한글"),
        ("日本".encode("euc_jp"), "x-euc-jp", "日本"),
        (b'\x1b$B-!$"\x1b(I1\x1b(B a', "iso-2022-jp", "①あｱ a"),
        (b"caf+AOk- +- b", "utf-7", "café + b"),
        (b"caf\xc3\xa9 +AOk-", "utf-7", "café +AOk-"),
        (b"a +//// b", "utf-7", "a \uffff\ufffdb"),
    ],
)
def test_charsets_that_lie_or_have_other_names_are_read_as_they_are_meant(data: bytes, charset: str, seen: str) -> None:
    assert decode(data, charset) == seen


@pytest.mark.acceptance(27)
@pytest.mark.parametrize(
    "charset",
    ["charset*=ansi-x3.4-1968''utf-8", "charset=idna", "charset=undefined", "charset=punycode", 'charset="utf\x008"'],
)
def test_bytes_of_a_charset_that_is_none_are_read_and_can_be_had(charset: str) -> None:
    mail = f"Content-Type: multipart/mixed; boundary=c; {charset}\n\ncafé"  # without its delimiters
    message = read_message(
        multipart("mixed", f"Content-Type: text/plain; {charset}\n\ncafé", f"{FORWARDED}\n\n{mail}").encode()
    )
    assert display(message).text == "café"
    assert (part_bytes(message, 2) or b"").rstrip() == mail.encode()


def test_a_boundary_that_is_not_ascii_is_found_where_its_bytes_stand() -> None:
    assert read_text('Content-Type: multipart/mixed; name="é"; boundary="bö"\n\n--bö\n\nwords') == "words"


def test_a_boundary_in_a_charset_that_is_none_is_found() -> None:
    assert read_text("Content-Type: multipart/mixed; boundary*=idna''b\n\n--b\n\nwords\n--b--\n") == "words"


# --- broken structure and transfer encodings -------------------------------------------------------------------------


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(
    "field",
    ["multipart/mixed\n\tboundary=b", 'multipart/mixed;\n boundary="b"', "multipart/mixed boundary = b"],
)
def test_a_boundary_is_found_though_it_is_badly_written(field: str) -> None:
    raw = f"Content-Type: {field}\n\nx\n--b\n\nwords\n--b\n{PICTURE}\n--b--\n"
    found = display(read_message(raw.encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("words", ["a.png"])


def test_a_boundary_that_is_folded_is_one_line() -> None:
    raw = b'Content-Type: multipart/mixed; boundary="a\n b"\n\n--a b\n\nwords\n--a b--\n'
    assert display(read_message(raw)).text == "words"


def read_text(raw: str) -> str:
    return display(read_message(raw.encode())).text


@pytest.mark.acceptance(31)
@pytest.mark.parametrize("longer", ["b2", "b; charset=utf-8", "b garbage"])
def test_a_line_that_only_begins_with_the_boundary_is_a_delimiter_where_there_is_no_other(longer: str) -> None:
    parts = f"--{longer}\n{PLAIN}\n--{longer}\n{PICTURE}\n"
    found = display(read_message(f"Content-Type: multipart/mixed; boundary=b\n\n{parts}".encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words", ["a.png"])


def test_a_line_that_only_begins_with_the_boundary_is_text_where_there_are_delimiters() -> None:
    assert read_text(multipart("mixed", f"{PLAIN}\n--bb\nmore")) == "plain words\n--bb\nmore"


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(("named", "written"), [("b_", "b"), ("other", "b"), ('"bö"', "bo")])
def test_delimiters_of_another_boundary_are_those_of_a_multipart_that_has_none(named: str, written: str) -> None:
    parts = f"An old program.\n--{written}\n{PLAIN}\n--{written}\n{PICTURE}\n--{written}--\n"
    found = display(read_message(f"Content-Type: multipart/mixed; boundary={named}\n\n{parts}".encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words", ["a.png"])


@pytest.mark.parametrize(
    "text", ["It said:\n--b\nContent-Type: text/plain", "-- \nContent-Free: Ann\n-- \nBob", "--b\nwords\n--b--"]
)
def test_lines_that_may_be_delimiters_of_anything_are_text_where_a_multipart_has_none(text: str) -> None:
    assert read_text(f"Content-Type: multipart/mixed; boundary=other\n\n{text}\n") == text


@pytest.mark.acceptance(31)
def test_delimiters_of_a_multipart_that_another_one_ended_go_on() -> None:
    inner = f"Content-Type: multipart/mixed; boundary=inner\n\n--inner\n{PLAIN}"
    below = f"Content-Type: text/plain\n\nmore\n--inner\n\nand more\n--inner\n{PICTURE}\n--inner--"
    raw = f"Content-Type: multipart/mixed; boundary=outer\n\n--outer\n{inner}\n--outer\n{below}\n--outer--\n"
    found = display(read_message(raw.encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words\n\nmore\n\nand more", ["a.png"])
    assert read_text(raw.replace("--inner", "--inner ")) == found.text


@pytest.mark.acceptance(31)
def test_parts_below_the_close_delimiter_of_their_multipart_are_read() -> None:
    raw = multipart("mixed", PLAIN)
    found = display(read_message(f"{raw}\n--b\nContent-Type: text/plain\n\nmore\n--b\n{PICTURE}\n--b--\n".encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words\n\nmore", ["a.png"])
    inner = f"{multipart('alternative', PLAIN, HTML, boundary='c')}\n--c\n{PICTURE}\n--c--"
    found = display(read_message(multipart("mixed", inner).encode()))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words", ["a.png"])


@pytest.mark.parametrize(
    "below", ["It ended with\n--b\nand no more.", "--b--\nA list", "\n--c\nContent-Type: text/plain\n\nx"]
)
def test_words_below_the_close_delimiter_are_none_of_its_parts(below: str) -> None:
    found = display(read_message(f"{multipart('mixed', PLAIN)}{below}\n".encode()))
    assert (found.text, found.attachments) == ("plain words", ())


@pytest.mark.acceptance(31)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_delimiter_that_has_lost_the_line_end_before_it_is_one(end: str) -> None:
    html = "Content-Type: text/html\n\n<p>html words</p>"
    raw = f"Content-Type: multipart/alternative; boundary=b\n\n--b\n{PLAIN}--b\n{html}--b--\n".replace("\n", end)
    found = display(read_message(raw.encode()))
    assert (found.text, found.has_html) == ("plain words", True)
    pictured = display(read_message(multipart("mixed", f"{PLAIN}\n --b\n{PICTURE}").encode()))
    assert (pictured.text, [part.filename for part in pictured.attachments]) == ("plain words", ["a.png"])


@pytest.mark.parametrize(
    "words", ["It said --b\nand no more", "Write --b-- here.", "one--bb--", "> --b\n> Content-Type: x/y"]
)
def test_words_about_a_delimiter_are_none(words: str) -> None:
    assert read_text(multipart("mixed", f"\n{words}", PICTURE)) == words


def test_the_delimiter_of_a_mail_that_is_passed_on_below_is_text_above_it() -> None:
    mail = f"Content-Type: message/rfc822\n\n{multipart('mixed', PLAIN, boundary='c')}"
    assert read_text(multipart("mixed", "\nIt said:\n--c\nand no more", mail)) == "It said:\n--c\nand no more"


def test_many_delimiters_take_no_more_than_their_length() -> None:
    nested = "".join(f"--b{at}\nContent-Type: multipart/mixed; boundary=b{at + 1}\n\n" for at in range(20))
    raw = f"Content-Type: multipart/mixed; boundary=b0\n\n{nested}--b0\n\n" + "--b1\n" * 200_000
    began = time.process_time()
    read_message(raw.encode())
    assert time.process_time() - began < 5


def test_many_parts_with_the_delimiter_of_another_take_no_more_than_their_number() -> None:
    inner = "Content-Type: multipart/mixed; boundary=inner\n\n--inner\n\nx\n"
    raw = f"Content-Type: multipart/mixed; boundary=outer\n\n--outer\n{inner}" + "--outer\n\nx\n--inner\n\ny\n" * 20_000
    began = time.process_time()
    read_message(raw.encode())
    assert time.process_time() - began < 5


LETTERS = base64.b64encode(b"words " * 15).decode()


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(
    ("encoding", "body", "seen"),
    [
        ("base64", "d29y\nZHM=\nIGhlcmU=\n", "words here"),
        ("base64", "d29yZHM= behind", "words"),
        ("base64", "These words were never encoded.", "These words were never encoded."),
        ("base64", f"{LETTERS}\n______\nA list at example.org\n", f"{'words ' * 15}______\nA list at example.org"),
        ("base64", f"{LETTERS}\nd29y\n\n______\nA list\n", f"{'words ' * 15}wor\n______\nA list"),
        ("base64", f"{LETTERS}\nd29y!ZHMg\n{LETTERS}", f"{'words ' * 16}{'words ' * 15}"),
        ("base64", f"{LETTERS}\n{LETTERS[1:]}\nw7ZydGVy\n", f"{'words ' * 15}örter"),
        ("base64", f"{LETTERS}\n{LETTERS[:40]}!{LETTERS[41:]}\n{LETTERS}\nw7ZydA==\n", f"{'words ' * 30}ört"),
        ("base64", f"{LETTERS}\n{LETTERS[:46]}\n{LETTERS[46:]}\nw7Zy\ndGV", f"{'words ' * 30}örte"),
        ("base64", "\n".join((LETTERS * 3)[at : at + 70] for at in range(0, 280, 70))[:-30], f"{'words ' * 31}w"),
        ("\t quoted-printable \t", "w=C3=B6rter=  \n hier", "wörter hier"),
        ('"Base64"', "d29yZHM=", "words"),
        ("base-64", "d29yZHM=", "words"),
        ("quoted printable", "w=C3=B6rter", "wörter"),
        ("Quoted_Printable", "w=C3=B6rter", "wörter"),
        ("base64x", "d29yZHM=", "d29yZHM="),
    ],
)
def test_a_transfer_encoding_is_undone_as_far_as_it_goes(encoding: str, body: str, seen: str) -> None:
    assert text_of("text/plain; charset=utf-8", body, f"Content-Transfer-Encoding: {encoding}") == seen.rstrip()


@pytest.mark.acceptance(31)
def test_undoing_a_transfer_encoding_takes_time_by_the_size_only() -> None:
    def seconds(size: int) -> float:
        bodies = {
            "quoted-printable": "= \t " * size,
            "base64": "d29y=!" * size + "\n!" * size,
            "BASE64": "d29y\nd29\n" * size,
        }
        began = time.process_time()
        for encoding, body in bodies.items():
            text_of("text/plain", body, f"Content-Transfer-Encoding: {encoding}")
        return time.process_time() - began

    seconds(1_000)
    assert seconds(160_000) < 30 * max(seconds(20_000), 0.005)


def test_a_named_text_below_another_is_a_file_unless_it_is_a_patch() -> None:
    log = "Content-Type: text/plain; name=pump.log\nContent-Disposition: inline\n\nlines"
    patch = "Content-Type: text/plain; name=0001.patch\n\n--- a"
    found = shown(multipart("mixed", PLAIN, log, patch))
    assert (found.text, [part.filename for part in found.attachments]) == ("plain words\n\n--- a", ["pump.log"])
    assert shown(multipart("mixed", PICTURE, log)).text == "lines"
    assert shown("Content-Type: text/html; name=letter.html\n\n<p>words</p>").text == "words"


def test_a_text_that_belongs_to_another_is_a_file() -> None:
    style = "Content-Type: text/plain\n\nleft over"
    found = shown(multipart("related", HTML, style))
    assert (found.text, [part.content_type for part in found.attachments]) == (shown(HTML).text, ["text/plain"])
    assert shown(multipart("related", PICTURE, style)).text == "left over"
    assert shown(multipart("mixed", HTML, style)).text.endswith("left over")


def test_words_around_parts_that_cannot_be_found_are_shown() -> None:
    inner = "--a--\nContent-Type: multipart/mixed; boundary=a----\n\n--a----\n\nwords\n--a------\n"
    raw = f"Content-Type: multipart/mixed; boundary=a--\n\n{inner}"
    assert "words" in shown(raw).text
    assert shown(f"Content-Type: multipart/mixed; boundary=b\n\nold program\n--b\n{PICTURE}\n--b--\n").text == ""


def test_html_beside_a_plain_text_is_not_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    monkeypatch.setattr(html_text, "to_text", lambda source: rendered.append(source) or "words")
    assert shown(multipart("alternative", PLAIN, HTML)).text == "plain words"
    assert rendered == []
    assert shown(multipart("alternative", "Content-Type: text/plain\n\n \n", HTML)).text == "words"
    assert len(rendered) == 1


def test_alternatives_of_one_kind_are_all_shown_but_the_same_text_once() -> None:
    footer = "Content-Type: text/plain\n\nfooter"
    assert shown(multipart("alternative", PLAIN, HTML, footer, PLAIN)).text == "plain words\n\nfooter"


# --- header fields ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("plain", "plain"),
        ("folded\r\n  over\n\tlines", "folded over lines"),
        ("=?utf-8?q?caf=C3=A9_one?=", "café one"),
        ("=?utf-8?b?Y2Fmw6k=?= and =?iso-8859-1?Q?caf=E9?=", "café and café"),
        ("=?utf-8?b?Y2Fmww==?=\n =?utf-8?b?qQ==?=", "café"),
        ("=?utf-8?b?Y2Fmw6k?=", "café"),
        ("=?utf-8?q?caf=EF=BF=BD?=", "caf\ufffd"),
        ("caf\udcef\udcbf\udcbd", "caf\ufffd"),
        ("=?utf-8*en?q?with language?=", "with language"),
        ("=?utf-7?q?+AOk-?=", "é"),
        ("=?utf-8?q?what?_that??=", "what? that?"),
        ("=?utf-8?b?Y2Fm\r\n w6k=?=", "café"),
        ('"=?ks_c_5601-1987?b?x9Gx2w==?="', '"한글"'),
        ("=?broken", "=?broken"),
        ("=?utf-8?x?y?=", "=?utf-8?x?y?="),
        ("caf\udcc3\udca9", "café"),
        ("caf\udce9", "café"),
        ("a\x00b\x1bc", "abc"),
        ("=?utf-8?q?one=0D=0ABcc:_x@example.org?=", "one Bcc: x@example.org"),
        (Header(b"caf\xe9", "latin-1"), "café"),
    ],
)
def test_header_fields_become_one_readable_line(value: object, seen: str) -> None:
    assert decode_header_text(value) == seen


def test_a_header_object_that_compat32_makes_of_8_bit_bytes_is_read_too() -> None:
    assert decode_header_text(parsed(b"Subject: caf\xe9 ol\xe9\n\n")["subject"]) == "café olé"


def test_of_a_long_field_only_the_first_4_kb_count() -> None:
    assert len(decode_header_text("x" * 200_000)) == 4096


# --- names of attachments --------------------------------------------------------------------------------------------


@pytest.mark.acceptance(30)
@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ('Content-Disposition: attachment; filename="../../etc/cron.d/x"', "x"),
        ('Content-Disposition: attachment; filename="C:\\\\temp\\\\a.txt"', "a.txt"),
        ("Content-Disposition: attachment; filename=CON", "_CON"),
        ("Content-Disposition: attachment; filename=nul.txt", "_nul.txt"),
        ("Content-Disposition: attachment; filename*0*=utf-8''caf%C3; filename*1*=%A9.pdf", "café.pdf"),
        ('Content-Disposition: attachment; filename="=?utf-8?q?caf=C3=A9.pdf?="', "café.pdf"),
        ("Content-Disposition: attachment; filename=caf\u00e9.pdf", "café.pdf"),
        ('Content-Disposition: attachment; filename="gpj.\u202eexe"', "gpj.exe"),
        ('Content-Disposition: attachment; filename="a\x00b\x07.txt"', "ab.txt"),
        ('Content-Disposition: attachment; filename=".."', "part-0.bin"),
        ("Content-Disposition: attachment; filename*99999999999999999*=x", "x"),
        ("Content-Disposition: attachment", "part-0.bin"),
    ],
)
def test_names_of_attachments_are_safe(fields: str, name: str) -> None:
    assert shown(f"Content-Type: application/octet-stream\n{fields}\n\nx").attachments[0].filename == name


@pytest.mark.acceptance(30)
def test_a_file_is_known_by_its_content_whatever_it_is_called_and_however_it_is_encoded() -> None:
    plain = shown("Content-Type: image/png; name=a.png\n\nwords").attachments[0]
    coded = shown("Content-Type: image/gif; name=b.gif\nContent-Transfer-Encoding: base64\n\nd29yZHM=").attachments[0]
    assert plain.sha256 == coded.sha256 == hashlib.sha256(b"words").digest()
    mail = multipart("mixed", PLAIN, "Content-Type: message/rfc822\n\nSubject: x\n\nwords")
    assert shown(mail).attachments[0].sha256 == b""


def test_whether_there_is_html_is_told_though_plain_text_is_shown() -> None:
    assert shown(multipart("alternative", PLAIN, HTML)).has_html
    assert shown(HTML).has_html
    assert not shown(multipart("mixed", PLAIN, HTML.replace("\n", "\nContent-Disposition: attachment\n", 1))).has_html
    assert not shown(PLAIN).has_html


def test_a_long_name_keeps_its_ending() -> None:
    name = shown(f"Content-Type: image/png; name={'x' * 3000}.png\n\nx").attachments[0].filename
    assert len(name) == 200
    assert name.endswith("x.png")


def test_a_part_without_a_name_is_named_by_its_type() -> None:
    assert shown("Content-Type: image/png\n\nx").attachments[0].filename == "part-0.png"
    assert shown("Content-Type: image/jpg\n\nx").attachments[0].filename == "part-0.jpg"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("Photo 25.jpg", "Photo 25.jpg"),
        ("https://example.org/photo.jpg", "part-0.jpg"),
        ("photos/photo.jpg", "part-0.jpg"),
        ("photo", "part-0.jpg"),
    ],
)
def test_a_part_without_a_name_is_named_by_its_location_where_that_is_a_bare_file_name(
    location: str, name: str
) -> None:
    head = f"Content-Type: image/jpeg\nContent-Location: {location}\n"
    assert shown(f"{head}\nx").attachments[0].filename == name
    assert shown(f"{head}Content-Disposition: inline; filename=a.jpg\n\nx").attachments[0].filename == "a.jpg"
    page = "Content-Type: text/html\nContent-Location: page.html\n\n<p>more</p>"
    assert shown(multipart("mixed", PLAIN, page)).text == "plain words\n\nmore"


def test_a_part_that_has_a_name_and_no_type_is_a_file_unless_its_name_is_that_of_a_text() -> None:
    found = shown('Content-Type: ; name="face.jpg"\n\nx').attachments[0]
    assert (found.filename, found.content_type) == ("face.jpg", "image/jpeg")
    assert text_of('; name="words.txt"', "words") == text_of("; charset=utf-8", "words") == "words"


# --- HTML ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("<p>one<p>two", "one\n\ntwo"),
        ("<div><div>one</div><div>two<br>three</div></div>", "one\ntwo\nthree"),
        ("a<script>b</script>c<style>d</style><!-- e --><?xml:x f ?>g", "acg"),
        ("<a href='https://example.org/a'>link</a>.", "link (https://example.org/a)."),
        (
            "<a href='https://example.org/a'>one</a> <a href=' https://example.org/a'>two</a>",
            "one (https://example.org/a) two",
        ),
        ("<a href='https://www.example.org/'><b>Example</b>.org</a>", "Example.org"),
        ("<a href='http://example.org/a'>https://example.org/a/</a>", "https://example.org/a/"),
        ("a <a href='https://example.org/?track=1'><img src='x.png' alt='y'></a> b", "a b"),
        ("<a href='mailto:ana@example.org'>Ana</a> <a href='#up'>up</a> <a href='javascript:x()'>x</a>", "Ana up x"),
        (f"<a href='https://example.org/{'x' * 600}'>link</a>", "link"),
        ("<blockquote><a href='https://example.org/a'>one</a></blockquote>", "> one (https://example.org/a)"),
        ("<html><body>one</body></html>\nfoot <b>er</b>", "one\nfoot er"),
        (
            "<html><body>one</body></html><html><head><title>x</title></head><body><p>two</p></body></html>",
            "one\n\ntwo",
        ),
        ("<p>one</body>two", "one\n\ntwo"),
        ("mine<blockquote>theirs<blockquote>older</blockquote></blockquote>mine", "mine\n> theirs\n> > older\nmine"),
        ("<blockquote style='margin:0 0 0 40px;border:none'>indented</blockquote>", "indented"),
        ("<table><tr><td>pump</td><td>12 bar</td></tr><tr><td>valve</td></tr></table>", "pump 12 bar\nvalve"),
        ("a<hr style='display:inline-block'>b", f"a\n{'_' * 32}\nb"),
        ("<blockquote>a<hr>b</blockquote>", f"> a\n> {'_' * 32}\n> b"),
        ("a &amp; b &lt;c&gt; \u00fc", "a & b <c> ü"),
        ("<?xml version='1.0' encoding='latin-1'?><p>\u00fc</p>", "ü"),
        ("a\ue0f0b", "ab"),
        ("", ""),
        ("<", "<"),
    ],
)
def test_html_becomes_text(source: str, seen: str) -> None:
    assert html_text.to_text(source) == seen


def test_html_that_is_nested_too_deep_for_the_renderer_still_shows_its_words() -> None:
    source = "<style>p {}</style>" + "<div>" * 50_000 + "words &amp; more" + "<script>no()</script>"
    assert html_text.to_text(source).split() == ["words", "&", "more"]


@pytest.mark.parametrize("piece", ["<a href=https://example.org/{}>", "<a href=https://example.org/{}>x</a>"])
def test_links_take_time_by_the_size_only(piece: str) -> None:
    def seconds(count: int) -> float:
        source = "".join(piece.format(number) for number in range(count))
        began = time.process_time()
        html_text.to_text(source)
        return time.process_time() - began

    seconds(100)
    assert seconds(16_000) < 30 * max(seconds(2_000), 0.005)


def test_of_many_rules_only_the_first_are_drawn() -> None:
    assert html_text.to_text("<hr>" * 5_000 + "words").count("_") == 32 * 1_000


def test_html_over_the_limit_is_cut_before_it_is_parsed() -> None:
    assert html_text.to_text("<p>x</p>" + " " * html_text.MOST + "<p>y</p>").split() == ["x"]
