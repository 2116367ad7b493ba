"""A part of a stored message is read in a process that can be killed; the caller gets nothing instead of a hang."""

import pytest

from tidings.mailer.extract import Extractor
from tidings.settings import LimitSettings

_MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def test_a_part_comes_decoded_and_a_forwarded_mail_whole() -> None:
    raw = (
        _MIXED + b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQo=\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n"
    )
    extractor = Extractor(LimitSettings())
    assert extractor.part(raw, 1) == b"a\n"
    assert (extractor.part(raw, 2) or b"").replace(b"\r\n", b"\n") == b"Subject: in\n\nx"
    assert extractor.part(raw, 9) is None


def test_all_html_texts_of_a_message_are_shown_in_their_order_within_the_limit_of_one() -> None:
    texts = ("<table><tr><td>one<!--", "<p>two</p>", "<p>two</p>", "<p>three</p>")
    raw = _MIXED + "".join(f"--b\r\nContent-Type: text/html\r\n\r\n{one}\r\n" for one in texts).encode()
    found = Extractor(LimitSettings()).html(raw) or ""
    assert [words for words in ("one", "two", "three") if words in found] == ["one", "two", "three"]
    assert found.count("two") == 1
    long = raw.replace(b"<p>two", b"<p>" + b"x" * 1_000 + b"two")
    limited = Extractor(LimitSettings(text_bytes=1_024)).html(long) or ""
    assert "xx" in limited
    assert "three" not in limited
    assert Extractor(LimitSettings()).html(_MIXED + b"--b\r\n\r\nplain\r\n") is None


@pytest.mark.acceptance(18)
def test_what_passes_a_limit_is_not_given_and_the_caller_goes_on() -> None:
    extractor = Extractor(LimitSettings())
    assert extractor.part(_MIXED + b"--b\r\n\r\nx\r\n" * 10_000, 1) is None
    assert extractor.part(b"Subject: x\r\n\r\nwell", 0) == b"well"


@pytest.mark.acceptance(19)
def test_what_takes_too_much_memory_is_not_given_and_the_caller_goes_on() -> None:
    extractor = Extractor(LimitSettings(parse_megabytes=200))
    assert extractor.part(b"Subject: x\r\n\r\n" + b"x\n" * 12_000_000, 0) is None
    assert extractor.part(b"Subject: x\r\n\r\nwell", 0) == b"well"


@pytest.mark.acceptance(29)
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/zip", b"PK\x03\x04 not unpacked"),
        ("application/gzip", b"\x1f\x8b\x08 not unpacked"),
        ("application/ms-tnef", b"\x78\x9f\x3e\x22 not unpacked"),
    ],
)
def test_a_packed_attachment_comes_as_it_was_packed_whatever_size_it_claims(kind: str, content: bytes) -> None:
    raw = (
        _MIXED
        + f'--b\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; size=99999999999; filename="a"\r\n'
        "Content-Transfer-Encoding: 8bit\r\n\r\n".encode()
        + content
        + b"\r\n--b--\r\n"
    )
    assert Extractor(LimitSettings()).part(raw, 1) == content
