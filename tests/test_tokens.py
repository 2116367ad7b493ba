"""Tokens: what was minted comes back, in any case, and nothing else does."""

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.tokens import BadTokenError, ItemToken, Tokens, hashed, random_token

OURS = Tokens(b"k" * 32)
DAY = date(2026, 10, 19)
ITEM = OURS.item(7, 9, DAY)
LEAVE = OURS.leave(9)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
READERS: list[Callable[[str], object]] = [OURS.read_item, OURS.read_leave]


# --- what comes back -------------------------------------------------------------------------------------------------


@given(
    item_id=st.integers(0, 2**40 - 1),
    membership_id=st.integers(0, 2**32 - 1),
    day=st.dates(date(2020, 1, 1), date(2199, 1, 1)),
)
def test_an_item_token_says_what_it_was_made_of(item_id: int, membership_id: int, day: date) -> None:
    token = OURS.item(item_id, membership_id, day)
    assert OURS.read_item(token) == ItemToken(item_id=item_id, membership_id=membership_id, day=day)
    assert OURS.read_item(token.upper()) == OURS.read_item(token)
    assert len(token) == 34
    assert set(token) <= set(ALPHABET)


@given(st.integers(0, 2**40 - 1))
def test_a_leave_token_says_whose_it_is(membership_id: int) -> None:
    token = OURS.leave(membership_id)
    assert OURS.read_leave(token) == membership_id
    assert OURS.read_leave(token.upper()) == membership_id


def test_the_longest_reply_address_is_within_the_octets_of_a_local_part() -> None:
    longest = OURS.item(2**40 - 1, 2**32 - 1, date(2199, 1, 1))
    assert len(f"{'n' * 24}+r.{longest}") <= 64  # RFC 5321 4.5.3.1.1


@given(st.lists(st.tuples(st.integers(0, 2**40 - 1), st.integers(0, 2**32 - 1)), max_size=40))
def test_tokens_that_are_minted_together_are_those_that_are_minted_one_by_one(items: list[tuple[int, int]]) -> None:
    assert OURS.items(items, DAY) == [OURS.item(*item, DAY) for item in items]
    assert OURS.leaves([item_id for item_id, _ in items]) == [OURS.leave(item_id) for item_id, _ in items]


def test_tokens_are_spelt_as_rfc_4648_has_it() -> None:
    for token in (ITEM, LEAVE, OURS.items([(7, 9)], DAY)[0], OURS.return_path(9, DAY), random_token()):
        padded = token.upper() + "=" * (-len(token) % 8)
        assert base64.b32encode(base64.b32decode(padded)).decode() == padded


# --- what does not ---------------------------------------------------------------------------------------------------


@given(place=st.integers(0, len(ITEM) - 1), other=st.sampled_from(ALPHABET))
def test_a_token_with_one_changed_character_is_refused(place: int, other: str) -> None:
    changed = ITEM[:place] + other + ITEM[place + 1 :]
    if changed == ITEM:
        assert OURS.read_item(changed)
    else:
        with pytest.raises(BadTokenError):
            OURS.read_item(changed)


def test_no_bit_of_a_token_can_be_flipped() -> None:
    """Each character in turn by each other one: 5 bits each, the spare ones of the last character too."""
    for token, read in zip((ITEM, LEAVE), READERS, strict=True):
        for place, character in enumerate(token):
            for bit in range(5):
                flipped = ALPHABET[ALPHABET.index(character) ^ (1 << bit)]
                with pytest.raises(BadTokenError):
                    read(token[:place] + flipped + token[place + 1 :])


@given(st.text(max_size=60))
def test_any_other_text_is_refused_and_nothing_else_is_raised(text: str) -> None:
    for read in READERS:
        with pytest.raises(BadTokenError):
            read(text)


@pytest.mark.parametrize("text", ["", ITEM[:-1], ITEM + "a", ITEM + "=", " " + ITEM, ITEM.replace(ITEM[0], "ſ", 1)])
def test_a_token_that_was_cut_or_lengthened_is_refused(text: str) -> None:
    with pytest.raises(BadTokenError):
        OURS.read_item(text)


def test_a_token_is_good_for_one_purpose_only() -> None:
    with pytest.raises(BadTokenError):
        OURS.read_leave(ITEM)
    with pytest.raises(BadTokenError):
        OURS.read_item(LEAVE)


def test_what_was_minted_for_one_purpose_is_no_part_of_a_token_for_another() -> None:
    data = base64.b32decode(ITEM.upper() + "=" * (-len(ITEM) % 8))
    payload = data[:-10]  # what the token says, before its MAC
    of_a_form = base64.b32decode(OURS.form(payload).upper())
    made = base64.b32encode(payload + of_a_form).decode().rstrip("=").lower()
    assert len(made) == len(ITEM)
    with pytest.raises(BadTokenError):
        OURS.read_item(made)


def test_a_token_of_another_site_is_refused() -> None:
    theirs = Tokens(b"K" * 32)
    with pytest.raises(BadTokenError):
        OURS.read_item(theirs.item(7, 9, DAY))
    with pytest.raises(BadTokenError):
        OURS.read_leave(theirs.leave(9))


def test_the_field_of_a_form_is_good_for_its_own_session_only() -> None:
    field = OURS.form(b"one session")
    assert OURS.is_form(field, b"one session")
    assert not OURS.is_form(field, b"another session")
    assert not OURS.is_form("", b"one session")
    assert not OURS.is_form("ü" + field[1:], b"one session")
    assert not Tokens(b"K" * 32).is_form(field, b"one session")


# --- how long --------------------------------------------------------------------------------------------------------


def test_an_item_token_lives_for_365_days_and_not_one_more() -> None:
    token = OURS.read_item(ITEM)
    last = datetime(2027, 10, 19, 23, 59, 59, tzinfo=UTC)
    assert last.date() - DAY == timedelta(days=365)
    assert not token.expired(last)
    assert token.expired(last + timedelta(seconds=1))
    # The day is that of UTC, wherever the clock's moment is written.
    assert not token.expired(last.astimezone(timezone(timedelta(hours=14))))
    assert token.expired((last + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-11))))
    assert not token.expired(datetime(2026, 10, 18, tzinfo=UTC)), "a clock that was set back expires nothing"


# --- random ----------------------------------------------------------------------------------------------------------


def test_a_random_token_has_128_bits_and_never_comes_twice() -> None:
    made = {random_token() for _ in range(1000)}
    assert len(made) == 1000
    for token in made:
        assert len(token) == 26  # 128 bits, five a character
        assert set(token) <= set(ALPHABET)
    # Every bit is drawn: each place but the last, which has three bits, holds every character.
    assert all({token[place] for token in made} == set(ALPHABET) for place in range(25))


def test_what_is_stored_of_a_random_token_is_its_hash_in_any_case() -> None:
    token = random_token()
    assert len(hashed(token)) == 32
    assert token.encode() not in hashed(token)
    assert hashed(token.upper()) == hashed(token)
    assert hashed(token) != hashed(random_token())
