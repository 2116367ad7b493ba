"""A footer is put under what was written, and nothing that was written changes."""

import email
import email.policy
import re
from email.message import EmailMessage
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_compose import copy, no_bare_line_ends
from tidings.mailer.text import display

HEAD = b"From: Maria <maria@example.org>\r\nSubject: Seal\r\nMessage-ID: <one@example.org>\r\n"
FOOTER = "{title} {address}\nRead it: {post}"
SAYS = "Pump people pump@lists.example.org\nRead it: https://tidings.example.org/c/pump/m/one@example.org/\n"
SHOWN = "_" * 40 + "\n" + SAYS
WIRE = SHOWN.replace("\n", "\r\n").encode()
MIXED = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b 1"\r\n'


def footed(body: bytes, content: bytes = b"", footer: str = FOOTER) -> tuple[bytes, bytes]:
    """Header and body of the copy of a message with these Content fields and that body."""
    got = copy(HEAD + content + b"\r\n" + body, footer=footer)
    assert no_bare_line_ends(got)
    head, _, below = got.partition(b"\r\n\r\n")
    return head + b"\r\n", below


def read(head: bytes, body: bytes) -> EmailMessage:
    message: EmailMessage = email.message_from_bytes(head + b"\r\n" + body, policy=email.policy.default)
    return message


def wrapped(body: bytes, content: bytes = b"", footer: str = FOOTER) -> tuple[bytes, EmailMessage]:
    """The first part with its header as the bytes that they are, and the second; fails where nothing was wrapped."""
    head, below = footed(body, content, footer)
    message = read(head, below)
    assert message.get_content_type() == "multipart/mixed" and not message.defects
    boundary = message.get_boundary().encode()
    before, first, _, end = re.split(rb"(?:^|\r\n)--" + re.escape(boundary), below)
    assert (before, end) == (b"", b"--\r\n")
    assert len(message.get_all("Content-Type")) == len(message.get_all("MIME-Version")) == 1
    return first.removeprefix(b"\r\n"), list(message.iter_parts())[1]


def text(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


@pytest.mark.parametrize("content", [b"", b"Content-Type: text/html\r\n", MIXED])
def test_without_a_footer_the_body_is_what_came(content: bytes) -> None:
    head, body = footed(b"It leaks. \r\n=\r\n--b 1--", content, footer="")
    assert body == b"It leaks. \r\n=\r\n--b 1--" and content in head


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b'Content-Type: TEXT/Plain;\r\n charset="utf-8";\r\nContent-Transfer-Encoding: 8BIT\r\n',
        b"Content-Type: text/plain; charset=iso-8859-1; \r\nContent-Disposition: inline\r\n",
    ],
)
@pytest.mark.parametrize("body", [b"It leaks.\r\n", b"It leaks.", b"", b"\xff\0=\r\n"])
def test_a_plain_text_gets_it_as_its_last_lines(content: bytes, body: bytes) -> None:
    head, got = footed(body, content)
    assert got == body + (b"" if not body or body.endswith(b"\r\n") else b"\r\n") + WIRE
    assert content in head


@pytest.mark.parametrize(
    ("charset", "encoding", "fits"),
    [
        ("utf-8", "8bit", True),
        ("ISO-8859-1", "8bit", True),
        ("utf-8", "7bit", True),
        ("us-ascii", "8bit", False),
        ("koi8-r", "8bit", False),
        ("utf-16", "8bit", False),
        ("utf-7", "8bit", False),
        ("rot13", "8bit", False),
        ("x-nobody-knows", "8bit", False),
    ],
)
def test_a_charset_that_lacks_a_letter_of_it_is_left_alone(charset: str, encoding: str, fits: bool) -> None:
    content = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n".encode()
    if fits:
        head, got = footed(b"Yes\r\n", content, "Grüße")
        assert read(head, b"").get_all("Content-Transfer-Encoding") == ["8bit"]
        assert got == b"Yes\r\n" + b"_" * 40 + b"\r\n" + "Grüße".encode(charset) + b"\r\n"
    else:
        first, second = wrapped(b"Yes\r\n", content, "Grüße")
        assert first == content + b"\r\nYes\r\n"
        assert text(second) == "_" * 40 + "\nGrüße\n"


def test_a_text_that_ends_in_other_letters_than_ascii_is_left_alone() -> None:
    content = b"Content-Type: text/plain; charset=iso-2022-jp\r\n"
    good = "はい\r\n".encode("iso-2022-jp")
    assert footed(good, content, "はい")[1].decode("iso-2022-jp").endswith("_\r\nはい\r\n")
    bad = good.removesuffix(b"\x1b(B\r\n")
    assert wrapped(bad, content)[0].endswith(bad)


@pytest.mark.parametrize("body", ["Ja, hält.\r\n", "Ja, hält", "so=", "", "a " * 60 + "ß  \r\n"])
def test_a_quoted_printable_text_gets_it_encoded_behind_a_line_end(body: str) -> None:
    content = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    made = body.replace("=", "=3D").replace("ß", "=C3=9F").replace("ä", "=C3=A4").replace("  \r\n", " =20\r\n").encode()
    for end in (b"", b"=", b"=\r\n", b"= \t\r\n"):  # soft line ends, which join what follows
        head, got = footed(made + end, content, "Grüße " * 20)
        assert got.startswith(made + end) and got.isascii() and max(map(len, got.split(b"\r\n"))) <= 132
        shown = text(read(head, got))
        assert shown.startswith(body.replace("\r\n", "\n"))
        assert shown.endswith("_" * 40 + "\n" + ("Grüße " * 20).strip() + "\n")
        assert len([line for line in shown.split("\n") if line == "_" * 40]) == 1


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable"])
@pytest.mark.parametrize("body", [b"It leaks \r\n", b"It leaks ", b"-- \r\n", b"> It \r\n"])
def test_in_flowed_text_nothing_flows_into_it_and_its_lines_stay_what_they_are(encoding: str, body: bytes) -> None:
    content = f"Content-Type: text/plain; format=Flowed\r\nContent-Transfer-Encoding: {encoding}\r\n".encode()
    head, got = footed(body, content, "From us \n> no quote\n  two spaces\n\n{title}")
    shown = display(email.message_from_bytes(head + b"\r\n" + got), limit=10_000, parts=10, depth=10).text
    _, rule, below = shown.partition("\n" + "_" * 40 + "\n")
    assert rule and below.rstrip("\n") == "From us\n> no quote\n  two spaces\n\nPump people"
    assert b" \r\n" not in got[len(body) + 2 :]
    assert b"\r\n From us\r\n > no quote\r\n   two spaces\r\n" in got


SIGNED = (
    b'Content-Type: multipart/signed; protocol="application/pgp-signature"; micalg=pgp-sha512;\r\n boundary=s\r\n',
    b"--s\r\nContent-Type: text/plain\r\n\r\nIt leaks. \r\n\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n"
    b"-----BEGIN PGP SIGNATURE-----\r\n--s--",
)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        SIGNED,
        (b"Content-Type: text/html\r\n", b"<p>It leaks."),
        (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n", b"SXQgbGVha3Mu"),
        (b"Content-Transfer-Encoding: x-odd\r\n", b"It leaks."),
        (b"Content-Type: multipart/alternative; boundary=b\r\n", b"--b\r\n\r\nIt leaks.\r\n--b--\r\n\r\n"),
        (b"Content-Type: multipart/encrypted; boundary=b\r\nContent-Description: x\r\n y\r\n", b"--b\r\n\r\n\r\n--b--"),
        (b"Content-Type: application/pkcs7-mime\r\nContent-Disposition: attachment\r\n", b"MII="),
        (b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n", b"a,b"),
        (b"Content-Type: text/plain; name=x.csv\r\n", b"a,b"),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n", b"It leaks."),
        (b"Content-Type: text/plain; charset*=utf-8''utf-8\r\n", b"It leaks."),
        (b"Content-Type: text/plain; charset=utf-8; charset=us-ascii\r\n", b"It leaks."),
        (b"Content-Type: text\r\n", b"It leaks."),
        (b"Content-Type: text/plain; x=" + b"y" * 5000 + b"\r\n", b"It leaks."),
        (MIXED.partition(b"\r\n")[2] + b"Content-Transfer-Encoding: base64\r\n", b"--b 1\r\n\r\nx\r\n--b 1--"),
        (b"Content-Type: multipart/mixed\r\n", b"--b\r\n\r\nx\r\n--b--"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n\r\nx\r\n"),  # never closed
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b--"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n\r\n--bc\r\n\r\nx\r\n--bc--\r\n--b--"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--"),
    ],
)
def test_what_cannot_plainly_take_it_becomes_the_first_of_two_parts_byte_for_byte(content: bytes, body: bytes) -> None:
    # Parsers may split inside of a part whose own boundary is broken, so this one looks at the bytes.
    head, got = footed(body, content)
    boundary = read(head, b"").get_boundary().encode()
    first, second = got.removesuffix(b"\r\n--" + boundary + b"--\r\n").split(b"\r\n--" + boundary + b"\r\n")
    assert first == b"--" + boundary + b"\r\n" + content + b"\r\n" + body
    assert second.endswith(b"\r\n\r\n" + WIRE) and b"Content-Type: text/plain; charset=utf-8\r\n" in second
    assert content not in head and head.count(b"MIME-Version: 1.0\r\n") == 1


def test_what_holds_eight_bits_says_so() -> None:
    html = b"Content-Type: text/html\r\n"
    assert "Content-Transfer-Encoding" not in read(*footed(b"x", html))
    assert read(*footed(b"\xfc", html))["Content-Transfer-Encoding"] == "8bit"
    assert read(*footed(b"x", html + b"Content-Transfer-Encoding: binary\r\n"))["Content-Transfer-Encoding"] == "binary"


def test_a_mixed_message_gets_one_part_more() -> None:
    inner = b"--b 1 \t\r\n\r\nIt leaks.\r\n--b 1\r\n" + SIGNED[0] + b"\r\n" + SIGNED[1] + b"\r\n"
    head, got = footed(b"Preamble\r\n" + inner + b"--b 1--\r\nEpilogue", MIXED)
    assert MIXED in head
    assert got.startswith(b"Preamble\r\n" + inner + b"--b 1\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert got.endswith(WIRE + b"\r\n--b 1--\r\nEpilogue")
    first, second, third = read(head, got).iter_parts()
    assert (text(first), second.get_content_type(), text(third)) == ("It leaks.", "multipart/signed", SHOWN)


def test_a_length_that_was_said_of_the_body_is_left_out_where_it_was_added_to() -> None:
    assert b"Content-Length" not in footed(b"x", b"Content-Length: 1\r\nContent-MD5: x\r\n")[0]
    assert b"Content-Length: 1\r\n" in footed(b"x", b"Content-Type: text/html\r\nContent-Length: 1\r\n")[1]


def test_a_text_in_the_place_of_the_body_has_it_too() -> None:
    raw = HEAD + b"Content-Type: text/html\r\n\r\n<p>"
    for body in ("Yes, it held.\n", "Yes, it held."):
        message = email.message_from_bytes(copy(raw, body=body, footer=FOOTER), policy=email.policy.default)
        assert message.get_content_type() == "text/plain" and text(message) == "Yes, it held.\n" + SHOWN
    assert text(email.message_from_bytes(copy(raw, body="", footer=FOOTER), policy=email.policy.default)) == SHOWN


def test_only_the_three_placeholders_are_filled_and_each_once() -> None:
    made = copy(HEAD + b"\r\n", title="{post} {0}\r\n\0", footer="{title}{title!r}{}{token}{address}{{title}}%s")
    assert made.endswith(b"_\r\n{post} {0}{title!r}{}{token}pump@lists.example.org{{post} {0}}%s\r\n")


def test_a_footer_of_nothing_but_titles_ends_somewhere() -> None:
    for letter in "x語":
        made = copy(HEAD + b"\r\n", title=letter * 200, footer="{title}" * 285)
        assert len(made) < 45_000


_VALUES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"text/plain", b"multipart/mixed; boundary=b", b'text/plain; charset="', b"text/plain;;charset=idna"]
    ),
    st.sampled_from([b"text/plain; charset=utf-8; format=flowed", b"quoted-printable", b"8bit", b"inline", b"\\"]),
)
_BODIES = st.one_of(
    st.binary(max_size=200), st.lists(st.sampled_from([b"--b", b"--", b"\r\n", b"=", b" ", b"\xff"])).map(b"".join)
)


@given(
    st.lists(st.tuples(st.sampled_from([b"Type", b"Transfer-Encoding", b"Disposition"]), _VALUES), max_size=4), _BODIES
)
def test_whatever_came_in_it_goes_out_whole_with_the_fields_that_it_had(
    fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    content = b"".join(
        b"Content-" + name + b": " + re.sub(rb"[\r\n]+", b"\r\n ", value) + b"\r\n" for name, value in fields
    )
    raw = HEAD + content + b"\r\n" + body
    plain = copy(raw).partition(b"\r\n\r\n")[2]
    got = copy(raw, footer="Grüße\n{post}")
    assert no_bare_line_ends(got) and got.count(b"_" * 40) == 1
    below = got.partition(b"\r\n\r\n")[2]
    # Wrapped, or one piece was put in at one place.
    assert plain in below or _alike(plain, below) + _alike(plain[::-1], below[::-1]) >= len(plain)


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes they begin with are the same."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


@given(st.binary(max_size=200), st.text(max_size=60), st.text(max_size=60))
def test_junk_makes_no_exception_and_no_field_that_was_not_meant(junk: bytes, title: str, footer: str) -> None:
    raw = junk + b"\r\n" + HEAD + b"Content-Type: " + junk + b"\r\n\r\n" + junk
    without, with_it = copy(raw, title=title), copy(raw, title=title, footer=footer or "x")
    assert _fields_but_mime(without) == _fields_but_mime(with_it)


def _fields_but_mime(data: bytes) -> list[tuple[str, str]]:
    items = email.message_from_bytes(data).items()
    return [one for one in items if not one[0].lower().startswith(("content-", "mime-version"))]


@pytest.mark.parametrize(
    "hostile",
    [b"--b\r\n", b"--b", b"=", b" ", b"\r\n", b"\x1b(", b"--b--\r\n", b"a"],
)
@pytest.mark.parametrize(
    "content", [b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n"]
)
def test_the_cost_of_a_footer_grows_with_the_length(hostile: bytes, content: bytes) -> None:
    def cost(length: int) -> float:
        raw = HEAD + content + b"\r\n" + (hostile * length)[:length]
        began = process_time()
        copy(raw, footer=FOOTER)
        return process_time() - began

    # Eight times the length; what is quadratic costs sixty-four times as much.
    assert min(cost(240_000) for _ in range(3)) < 24 * min(cost(30_000) for _ in range(5)) + 0.01


@pytest.mark.parametrize("hostile", [b";", b'; x="', b"; x=\\", b" ", b'"\\', b"a", b"; a=b"])
def test_the_cost_of_reading_a_content_type_grows_with_its_length(hostile: bytes) -> None:
    value = b"text/plain" + hostile * 400
    began = process_time()
    copy(HEAD + b"Content-Type: " + value[:4000] + b"\r\n\r\nx", footer=FOOTER)
    assert process_time() - began < 0.5
