"""Tokens in addresses and links: minted and verified with one key, without a database.

A token is lower-case base32 (RFC 4648, no padding), since a local part may come back in any case. Random tokens
(sign-in) are only made and hashed here; who keeps the hash is not this module's matter.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

_MAC_BYTES = 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_OF_FIVE_BITS = _LETTERS.encode().ljust(256, b"\0")
_AT_ONCE = 16  # tokens that are spelt together
_EPOCH = date(2020, 1, 1)
ITEM_LIFE = timedelta(days=365)
RETURN_LIFE = timedelta(days=14)


class BadTokenError(ValueError):
    """The token was not made with this site's key."""


@dataclass(frozen=True, kw_only=True)
class ItemToken:
    """What the token of an item's reply address says: it routes and is no credential."""

    item_id: int
    membership_id: int
    day: date

    def expired(self, now: datetime) -> bool:
        """Whether the year of its life is over."""
        return now.astimezone(UTC).date() - self.day > ITEM_LIFE


@dataclass(frozen=True, kw_only=True)
class ReturnToken:
    """What the token of a return path says: which delivery came back, if anything did."""

    delivery_id: int
    day: date

    def expired(self, now: datetime) -> bool:
        """Whether its two weeks are over: what comes back later than that is no bounce of ours."""
        return now.astimezone(UTC).date() - self.day > RETURN_LIFE


def _encode(data: bytes) -> str:
    bits = len(data) * 8
    spare = -bits % 10
    number = int.from_bytes(data) << spare
    return "".join([_PAIRS[number >> at & 1023] for at in range(bits + spare - 10, -1, -10)])[: -(-bits // 5)]


def _encode_all(some: Sequence[bytes]) -> list[str]:
    """Each of these, which are of one length, in base32; a mail has dozens of tokens."""
    return [text for at in range(0, len(some), _AT_ONCE) for text in _spelt(some[at : at + _AT_ONCE])]


def _spelt(some: Sequence[bytes]) -> list[str]:
    """These as one number, of which five bytes at a time are spread to eight that have five bits each.

    That is a tenth of the time that one after another takes.
    """
    length = len(some[0])
    fives = -(-length // 5)
    whole = b"".join(data.ljust(5 * fives, b"\0") for data in some)
    lanes = bytearray(8 * fives * _AT_ONCE)
    end = 8 * fives * len(some)
    for place in range(5):
        lanes[3 + place : end : 8] = whole[place::5]
    number = int.from_bytes(lanes)
    for low, high, shift in _masks(fives * _AT_ONCE):
        number = (number & low) | ((number & high) << shift)
    text = number.to_bytes(len(lanes)).translate(_OF_FIVE_BITS).decode()
    letters = -(-length * 8 // 5)
    return [text[at : at + letters] for at in range(0, end, 8 * fives)]


@cache
def _masks(fives: int) -> list[tuple[int, int, int]]:
    """The halves of 40, 20 and 10 bits that part from each other, in so many fives of bytes, and how far."""
    halves = []
    for bits, width in ((20, 8), (10, 4), (5, 2)):  # of a half; bytes that the whole has
        low = int.from_bytes(((1 << bits) - 1).to_bytes(width) * (8 // width * fives))
        halves.append((low, low << bits, width * 4 - bits))
    return halves


def _decode(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError as error:
        raise BadTokenError("not base32") from error


def _of_item(item_id: int, membership_id: int, day: date) -> bytes:
    return item_id.to_bytes(5) + membership_id.to_bytes(4) + (day - _EPOCH).days.to_bytes(2)


class Tokens:
    """Mints and verifies with the site's key (32 random bytes made at the first start)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._begun: dict[str, hmac.HMAC] = {}  # by purpose: to copy it takes less than to begin anew

    def _mac(self, purpose: str, payload: bytes) -> bytes:
        if purpose not in self._begun:
            self._begun[purpose] = hmac.new(self._key, purpose.encode() + b"\0", hashlib.sha256)
        mac = self._begun[purpose].copy()
        mac.update(payload)
        return mac.digest()[:_MAC_BYTES]

    def _sealed(self, purpose: str, payload: bytes) -> bytes:
        return payload + self._mac(purpose, payload)

    def _seal(self, purpose: str, payload: bytes) -> str:
        return _encode(self._sealed(purpose, payload))

    def _open(self, purpose: str, token: str, length: int) -> bytes:
        data = _decode(token)
        payload, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        # The re-encoding check leaves one spelling per token: base32 ignores the spare bits of the last character.
        good = hmac.compare_digest(mac, self._mac(purpose, payload)) and _encode(data) == token.lower()
        if len(payload) != length or not good:
            raise BadTokenError(f"no {purpose} token of this site")
        return payload

    def item(self, item_id: int, membership_id: int, day: date) -> str:
        """The `r` token of one item for one membership, made on `day`; 34 characters."""
        return self._seal("r", _of_item(item_id, membership_id, day))

    def items(self, items: Iterable[tuple[int, int]], day: date) -> list[str]:
        """The `r` tokens of items, each with its membership, in their order."""
        return _encode_all([self._sealed("r", _of_item(*item, day)) for item in items])

    def read_item(self, token: str) -> ItemToken:
        """What an `r` token says, in any case. Raises BadTokenError; expiry is the caller's to judge."""
        payload = self._open("r", token, 11)
        return ItemToken(
            item_id=int.from_bytes(payload[:5]),
            membership_id=int.from_bytes(payload[5:9]),
            day=_EPOCH + timedelta(days=int.from_bytes(payload[9:])),
        )

    def return_path(self, delivery_id: int, day: date) -> str:
        """The `b` token of one delivery that is tried on `day`; 29 characters."""
        return self._seal("b", delivery_id.to_bytes(6) + (day - _EPOCH).days.to_bytes(2))

    def read_return_path(self, token: str) -> ReturnToken:
        """What a `b` token says, in any case. Raises BadTokenError; expiry is the caller's to judge."""
        payload = self._open("b", token, 8)
        return ReturnToken(
            delivery_id=int.from_bytes(payload[:6]), day=_EPOCH + timedelta(days=int.from_bytes(payload[6:]))
        )

    def leave(self, membership_id: int) -> str:
        """The token of a membership's `/u/` page; it does not expire, and only a POST acts on it."""
        return self._seal("u", membership_id.to_bytes(5))

    def leaves(self, membership_ids: Iterable[int]) -> list[str]:
        """The tokens of several memberships, in their order."""
        return _encode_all([self._sealed("u", one.to_bytes(5)) for one in membership_ids])

    def read_leave(self, token: str) -> int:
        """The membership that a `/u/` token belongs to. Raises BadTokenError."""
        return int.from_bytes(self._open("u", token, 5))

    def mark(self, data: bytes) -> bytes:
        """What is kept of something that was erased, to know it again; without the key it tells nothing."""
        return hmac.digest(self._key, b"erased\0" + data, hashlib.sha256)

    def form(self, session_hash: bytes) -> str:
        """The hidden field that every POST of a session carries (against forged requests)."""
        return _encode(self._mac("form", session_hash))

    def is_form(self, token: str, session_hash: bytes) -> bool:
        """Whether `token` is the hidden field of that session."""
        return hmac.compare_digest(token.encode(), self.form(session_hash).encode())


def random_token() -> str:
    """128 random bits for one purpose and one use (sign-in links, sessions)."""
    return _encode(secrets.token_bytes(16))


def hashed(token: str) -> bytes:
    """What is stored of a random token: its SHA-256."""
    return hashlib.sha256(token.lower().encode()).digest()
