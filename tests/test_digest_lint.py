"""What `tidings digest lint` finds wrong with a digest, and that nothing is wrong with ours."""

from pathlib import Path

import pytest

from tests.small_site import Program
from tests.test_digest_render import GOLDEN
from tidings.digests.lint import contrast, lint
from tidings.mailer import compose

TEXT = (GOLDEN / "digest.txt").read_text(encoding="utf-8")
HTML = (GOLDEN / "digest.html").read_text(encoding="utf-8")


def digest(text: str = TEXT, html: str = HTML) -> bytes:
    return compose.alternative({"Message-ID": "<digest@example.org>", "Subject": "A digest"}, text=text, html=html)


def checks(**parts: str) -> set[str]:
    return {finding.check for finding in lint(digest(**parts))}


def test_nothing_is_wrong_with_a_digest_of_ours() -> None:
    assert lint(digest()) == []


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        ("size", "</body>", "<p>" + "x" * 80_000 + "</p></body>"),
        ("headings", "<h1 ", "<h2 "),
        ("headings", "<h3 ", "<h4 "),
        ("links", ">Your settings<", ">click here<"),
        ("links", ">Your settings<", ">https://tidings.example.org/me/<"),
        ("links", "https://tidings.example.org/me/", "javascript:alert(1)"),
        ("tap", "min-height: 44px", "min-height: 20px"),
        ("language", 'lang="en"', ""),
        ("phone", 'name="viewport"', 'name="other"'),
        ("phone", "font: 16px", "font: 13px"),
        ("phone", "max-width: 600px", "width: 900px"),
        ("content", "</body>", '<img src="https://example.org/pixel.gif"></body>'),
        ("content", "</body>", "<table><tr><td>x</td></tr></table></body>"),
        ("content", "</body>", '<p onclick="x()">x</p></body>'),
        ("content", "</body>", '<p style="list-style: url(https://example.org/x)">x</p></body>'),
        ("contrast", "</body>", '<p style="color: #777777">grey</p></body>'),
        ("contrast", "</body>", '<p style="background: #eeeeee">grey</p></body>'),
        ("parts", "Reply to #2", "Reply to #9"),
        ("parts", "mailto:pump+r.", "mailto:pump+r.x"),
    ],
)
def test_what_a_reader_could_trip_over_in_the_html_is_named(check: str, old: str, new: str) -> None:
    assert old in HTML
    assert check in checks(html=HTML.replace(old, new))


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        ("columns", "FOR YOU", "For you, " * 9),
        ("parts", "#2 Mei", "Mei"),
        ("parts", "reply: pump+r.", "reply: pump+r.x"),
    ],
)
def test_what_a_reader_could_trip_over_in_the_text_is_named(check: str, old: str, new: str) -> None:
    assert old in TEXT
    assert check in checks(text=TEXT.replace(old, new))


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((0x77, 0x77, 0x77), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def test_the_command_says_what_it_found_and_fails_then(tmp_path: Path) -> None:
    tidings = Program(tmp_path / "tidings.toml")
    good, bad, other = tmp_path / "good.eml", tmp_path / "bad.eml", tmp_path / "other.eml"
    good.write_bytes(digest())
    bad.write_bytes(digest(html=HTML.replace('lang="en"', "")))
    other.write_bytes(b"Subject: Seal\r\n\r\nIt leaks.\r\n")
    assert tidings("digest", "lint", str(good)).text == "Nothing is wrong with it.\n"
    assert [one["check"] for one in tidings("digest", "lint", str(bad), "--json", status=1).json] == ["language"]
    assert "no item has a reply address" in tidings("digest", "lint", str(other), status=2).err
