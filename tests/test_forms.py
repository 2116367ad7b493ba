"""Pieces of a mail that are encoded once: filled, they are as if they had been encoded as a whole."""

import quopri
import re

from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer import compose
from tidings.mailer.forms import Form

MARKS = re.compile("(\ufdd0|\ufdd1)")
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufdd0\ufdd1"), max_size=200)
TOKEN = "aaaaaowpaaaaahqjmyl53d5eazbciucoee"


def form(*texts: str) -> Form:
    return Form("\ufdd0".join(texts), MARKS, {"\ufdd0": len(TOKEN)})


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_filled_piece_reads_the_same_whether_it_was_encoded_before_or_after(texts: list[str]) -> None:
    made = form(*texts)
    whole = made.filled([TOKEN] * len(made.places))
    assert whole == TOKEN.join(texts)
    _, data = compose.quoted_part(made.quoted([compose.quoted_word(TOKEN)] * len(made.places)), "plain")
    assert quopri.decodestring(data).decode().replace("\r\n", "\n").removesuffix("\n") == whole.removesuffix("\n")
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 76  # RFC 2045 6.7


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_piece_is_never_longer_than_it_was_weighed(texts: list[str]) -> None:
    made = form(*texts)
    length, escaped = made.weight
    if compose.is_quoted(length, escaped):
        _, data = compose.quoted_part(made.quoted([compose.quoted_word(TOKEN)] * len(made.places)), "plain")
        assert len(data) <= compose.encoded_length(length, escaped) + 6 * "".join(texts).count("\n") + 6


def test_a_space_before_a_place_stays() -> None:
    made = form("Reply to ", " or not")
    _, data = compose.quoted_part(made.quoted([compose.quoted_word("x")]), "plain")
    assert data == b"Reply to =\r\nx=\r\n or not\r\n"


@given(WORDS, WORDS, st.lists(WORDS, min_size=1, max_size=4))
def test_a_form_in_another_reads_and_weighs_as_if_it_had_been_written_there(
    before: str, behind: str, inside: list[str]
) -> None:
    frame, item = form(before, "between", behind), form(*inside)
    held = frame.holding([None, item])
    written = form(before, f"between{inside[0]}", *inside[1:-1], f"{inside[-1]}{behind}") if inside[1:] else None
    written = written or form(before, f"between{inside[0]}{behind}")
    assert held.places == written.places == ["\ufdd0"] * len(inside)
    tokens = [f"{TOKEN[:-1]}{number}" for number in range(len(held.places))]
    assert held.filled(tokens) == written.filled(tokens)
    assert held.weight == written.weight
    quoted = [compose.quoted_word(token) for token in tokens]
    (_, data), (_, again) = (compose.quoted_part(one.quoted(quoted), "plain") for one in (held, written))
    assert quopri.decodestring(data) == quopri.decodestring(again)
    assert max(map(len, data.split(b"\r\n"))) <= 76  # RFC 2045 6.7
