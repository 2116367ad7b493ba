"""Pictures that came with HTML mail stand in it, bounded, and nothing else comes through as one."""

import base64

import pytest

from tidings.mailer import pictures
from tidings.mailer.extract import harmless
from tidings.mailer.tolerant import read_message

PNG = b"\x89PNG\r\n\x1a\n"


def drawn(source: str, *parts: tuple[str, bytes]) -> str:
    inside = "".join(
        f"--b\nContent-Type: image/png\nContent-ID: <{name}>\nContent-Transfer-Encoding: base64\n\n"
        f"{base64.b64encode(data).decode()}\n"
        for name, data in parts
    )
    message = read_message(f"Content-Type: multipart/related; boundary=b\n\n{inside}--b--\n".encode())
    return pictures.with_pictures(harmless(source), message, parts=1_000, depth=50)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG + b"x", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\n\n\n\nWEBP", "image/webp"),
    ],
)
def test_a_picture_is_named_by_its_first_bytes(data: bytes, kind: str) -> None:
    assert drawn('<img src="CID:a">', ("a", data)).startswith(f'<img src="data:{kind};base64,')


@pytest.mark.parametrize("data", [b"<svg/>", b"<script>", b"", b"BM", b"RIFF....WAVE"])
def test_what_only_calls_itself_a_picture_goes(data: bytes) -> None:
    assert drawn('a<img src="cid:a">b', ("a", data)) == "ab"


@pytest.mark.parametrize(
    "tag",
    [
        "<img>",
        '<img src="https://example.org/a.png">',
        '<img src="data:image/png;base64,iVBORw0KGgo=">',
        '<img src="//example.org/a.png" alt="a">',
        '<img src="cid:b">',
        '<img src="cid:">',
        '<img srcset="cid:a">',
        "<img alt='<img src=\"cid:a\">'>",
    ],
)
def test_a_picture_that_is_not_in_the_mail_goes(tag: str) -> None:
    assert drawn(f"a{tag}b", ("a", PNG)) == "ab"


def test_a_link_into_the_mail_leads_nowhere() -> None:
    assert "cid:" not in drawn('<a href="cid:a">a</a><blockquote cite="cid:a">b</blockquote>', ("a", PNG))


def test_words_that_look_like_a_picture_stay_words() -> None:
    assert drawn("&lt;img src=&quot;cid:a&quot;&gt;", ("a", PNG)) == '&lt;img src="cid:a"&gt;'


def test_the_words_for_a_picture_stay_but_for_brackets() -> None:
    assert drawn("<img src=cid:a alt='1 < 2 & \"x\" onerror=y'>", ("a", PNG)).endswith(
        ' alt="1  2 &amp; &quot;x&quot; onerror=y">'
    )


def test_pictures_that_are_too_big_alone_or_together_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_PICTURE_MOST", 100)
    assert drawn('<img src="cid:a">', ("a", PNG + b"x" * 92)) != ""
    assert drawn('<img src="cid:a">', ("a", PNG + b"x" * 93)) == ""
    monkeypatch.setattr(pictures, "_TOGETHER_MOST", 400)
    assert drawn('<img src="cid:a">' * 1_000, ("a", PNG + b"x" * 92)).count("<img") == 2
