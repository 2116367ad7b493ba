"""Whether the domain of a message's From really sent it: by its DKIM signatures, or by the word of a trusted server.

It decides nothing about what such a proof allows, knows no tokens and changes nothing; whoever acts on a message also
asks whether its Message-ID acted before. What a message says never makes it raise: whatever is wrong is a reason.

dkimpy reads and normalises, cryptography checks: it takes keys of every kind and no part of it is written in Python.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import authres
import authres.dmarc
import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from dkim.canonicalization import CanonicalizationPolicy, Relaxed, compress_whitespace
from dkim.util import InvalidTagValueList, parse_tag_value

from tidings.mailer.resolver import Dns

_HEADER_LIMIT = 262_144  # bytes
_FIELDS_LIMIT = 1_000
# Real ones have at most 2 kB. Some of dkimpy's expressions take quadratic time, which this keeps small.
_SIGNATURE_LIMIT = 4_096
_RESULTS_LIMIT = 8_192
_KEY_LIMIT = 4_096
_TRIED = 5  # signatures of one message
_KEY_BITS = range(1024, 4097)  # RFC 8301 3.2: shorter ones prove nothing; longer ones only cost time
_ALGORITHMS = {b"rsa-sha256": b"rsa", b"ed25519-sha256": b"ed25519"}  # a= and the k= that goes with it
_REPLAY = timedelta(days=3)
_SKEW = timedelta(minutes=15)  # between the signer's clock and ours
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+")
_SELECTOR = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,9}")
# A second one of these is read by one program and signed for another (RFC 6376 8.15).
_ONLY_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id mime-version content-type content-transfer-encoding".split()
)
_authres = authres.FeatureContext(authres.dmarc)

Field = tuple[bytes, bytes]  # name as it stands, and all behind its colon with the last CR LF


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether the From domain vouches for a message, and how we know; `how` is for `why` and the log."""

    aligned: bool
    how: str


def verify(raw: bytes, author_domain: str, *, dns: Dns, now: datetime, fresh: bool = True) -> Proof:
    """Whether a DKIM signature (RFC 6376, 8301, 8463) of `author_domain`, or of a domain above it, holds for `raw`.

    It must sign From, of which there is one, and the whole body. With `fresh`, as commands want it, it must also be no
    older than three days and sign the Message-ID, so that a replay can be told. Signatures of a domain below
    `author_domain` or beside it are not taken for aligned (RFC 7489 3.1 would): that takes the list of public suffixes.
    """
    try:
        message = _read(raw)
        signatures = _aligned_signatures(message, author_domain)
    except _FaultError as fault:
        return Proof(aligned=False, how=str(fault))
    reasons = []
    for signature in signatures[:_TRIED]:
        try:
            _check_claims(message, signature, now, fresh)
            _check_signed(message, signature, _key(signature, dns))
        except TimeoutError as error:
            reasons.append(f"{signature}: {error}")
            break  # the next one would take as long
        except _FaultError as fault:
            reasons.append(f"{signature}: {fault}")
        except Exception as error:  # whatever a library trips over is no proof
            reasons.append(f"{signature}: cannot be checked ({type(error).__name__})")
        else:
            return Proof(aligned=True, how=f"{signature}")
    return Proof(aligned=False, how="; ".join(reasons))


def trusted_result(
    raw: bytes, author_domain: str, *, authserv_id: str, now: datetime, fresh: bool = True
) -> Proof | None:
    """What a trusted server found, by its Authentication-Results (RFC 8601); None where `raw` has none of its.

    Only for messages that came from such a server. Only the topmost field with its `authserv_id` counts: any other may
    be forged. It must say `dkim=pass` of a domain that is aligned as in `verify`, or `dmarc=pass` of `author_domain`.
    It does not say what was signed and when, so every signature of such a domain must claim what `verify` asks for.
    """
    try:
        message = _read(raw)
        value = _own_results(message, authserv_id.lower()) if authserv_id else None
        if value is None:
            return None
        how = _pass(value, author_domain)
        for field in message.values(b"dkim-signature"):
            _check_unless_foreign(message, field, author_domain, now, fresh)
    except _FaultError as fault:
        return Proof(aligned=False, how=str(fault))
    return Proof(aligned=True, how=f"{how} says {authserv_id}")


# --- the message --------------------------------------------------------------------------------------------


class _FaultError(Exception):
    """Why a message or a signature proves nothing."""


@dataclass(frozen=True, kw_only=True)
class _Message:
    fields: list[Field]
    body: bytes

    def values(self, name: bytes) -> Iterator[Field]:
        """The fields of a name, given in lower case, from the top."""
        return (field for field in self.fields if _name(field) == name)


def _read(raw: bytes) -> _Message:
    """Take a message apart. Raises _FaultError where another reader might see another message."""
    end = raw.find(b"\r\n\r\n", 0, _HEADER_LIMIT)
    header = raw[:end] if end >= 0 else raw.removesuffix(b"\r\n")
    if len(header) > _HEADER_LIMIT:
        raise _FaultError("its header is too large to be checked")
    if not header.count(b"\r") == header.count(b"\n") == header.count(b"\r\n") or b"\0" in header:
        raise _FaultError("its header has lines that other programs may end elsewhere")
    lines = re.split(rb"\r\n(?![ \t])", header)
    if len(lines) > _FIELDS_LIMIT:
        raise _FaultError("it has too many header fields to be checked")
    if not all(b":" in line for line in lines):
        raise _FaultError("its header has a line that is no field")
    parts = [line.partition(b":") for line in lines]
    message = _Message(
        fields=[(name, value + b"\r\n") for name, _, value in parts], body=raw[end + 4 :] if end >= 0 else b""
    )
    _check_names([_name(field) for field in message.fields])
    return message


def _check_names(names: list[bytes]) -> None:
    if b"from" not in names:
        raise _FaultError("it has no From field")
    for name in _ONLY_ONCE:
        if names.count(name) > 1:
            raise _FaultError(f"it has more than one {name.decode().title()} field")


def _name(field: Field) -> bytes:
    return field[0].strip().lower()


# --- what a signature says of itself ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Signature:
    """A DKIM-Signature field whose tags can be read."""

    field: Field
    tags: dict[bytes, bytes]
    domain: str
    selector: str

    @property
    def signed(self) -> list[bytes]:
        """The names of the signed fields, in lower case."""
        return [name.strip().lower() for name in self.tags[b"h"].split(b":")]

    def __str__(self) -> str:
        return f"DKIM signature of {self.domain} ({self.selector})"


def _signature(field: Field) -> _Signature | None:
    """A DKIM-Signature field read, or None where it cannot be."""
    if len(field[1]) > _SIGNATURE_LIMIT:
        return None
    try:
        tags = parse_tag_value(field[1])
        domain, selector = (tags[tag].decode("ascii").lower() for tag in (b"d", b"s"))
        # Not the times: it compares them with a clock of its own.
        dkim.validate_signature_fields({tag: tags[tag] for tag in tags if tag not in (b"t", b"x")})
    except (InvalidTagValueList, dkim.DKIMException, LookupError, ValueError):
        return None
    if not _DOMAIN.fullmatch(domain) or not _SELECTOR.fullmatch(selector):
        return None
    return _Signature(field=field, tags=tags, domain=domain, selector=selector)


def _aligned_signatures(message: _Message, author_domain: str) -> list[_Signature]:
    found = [one for field in message.values(b"dkim-signature") if (one := _signature(field))]
    if aligned := [one for one in found if _is_aligned(author_domain, one.domain)]:
        return aligned
    raise _FaultError(f"none of its {len(found)} DKIM signatures is of {author_domain} or a domain above it")


def _is_aligned(author_domain: str, domain: str) -> bool:
    """Whether `domain` can speak for `author_domain`: it is the same or above it, and no top-level domain."""
    author_domain, domain = author_domain.lower(), domain.lower()
    # Not of a domain in other letters: what turns into the same ASCII need not be the same owner's.
    readable = _DOMAIN.fullmatch(author_domain) and _DOMAIN.fullmatch(domain)
    return bool(readable) and (author_domain == domain or author_domain.endswith(f".{domain}"))


def _check_claims(message: _Message, signature: _Signature, now: datetime, fresh: bool) -> None:
    """What can be told without the key. Raises _FaultError."""
    tags, signed = signature.tags, signature.signed
    if tags[b"a"] not in _ALGORITHMS:
        raise _FaultError("made with an algorithm that proves nothing")
    if b"l" in tags:
        raise _FaultError("covers a part of the body only (l=)")
    if b"from" not in signed:
        raise _FaultError("does not sign From")
    made, expires = _time(tags, b"t"), _time(tags, b"x")
    if expires is not None and expires < now.timestamp():
        raise _FaultError("has expired")
    if made is not None and made > (now + _SKEW).timestamp():
        raise _FaultError("is of the future")
    if fresh:
        _check_fresh(signed, _date(message, signed) if made is None else made, now)


def _check_fresh(signed: list[bytes], made: float | None, now: datetime) -> None:
    if b"message-id" not in signed:
        raise _FaultError("does not sign the Message-ID, so that a replay could not be told")
    if made is None:
        raise _FaultError("does not say when it was made")
    if not (now - _REPLAY).timestamp() <= made <= (now + _SKEW).timestamp():
        raise _FaultError("is not of the last three days")


def _time(tags: dict[bytes, bytes], tag: bytes) -> int | None:
    """A time of a signature, in seconds of the Unix epoch. Raises _FaultError."""
    value = tags.get(tag)
    if value is None:
        return None
    if not re.fullmatch(rb"[0-9]{1,12}", value):  # RFC 6376 3.5: 12 digits are enough
        raise _FaultError(f"has no time in {tag.decode()}=")
    return int(value)


def _date(message: _Message, signed: list[bytes]) -> float | None:
    """When a message says it was written, where that is signed: some large senders leave t= out."""
    for _, value in message.values(b"date") if b"date" in signed else ():
        try:
            return parsedate_to_datetime(value[:100].decode("ascii")).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return None


# --- keys and sums ------------------------------------------------------------------------------------------


def _key(signature: _Signature, dns: Dns) -> RSAPublicKey | Ed25519PublicKey:
    """The signer's public key (RFC 6376 3.6.1). Raises _FaultError, and TimeoutError as `dns` does."""
    records = dns.txt(f"{signature.selector}._domainkey.{signature.domain}")
    if len(records) != 1:
        raise _FaultError(f"has {len(records) or 'no'} keys in the DNS")
    if len(records[0]) > _KEY_LIMIT:
        raise _FaultError("has a key that is too large")
    tags = parse_tag_value(records[0])
    _check_record(tags, signature)
    data = _bytes(tags.get(b"p", b""))
    if not data:
        raise _FaultError("has a key that was withdrawn")
    key = Ed25519PublicKey.from_public_bytes(data) if tags.get(b"k") == b"ed25519" else load_der_public_key(data)
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise _FaultError("has a key of another kind")
    if isinstance(key, RSAPublicKey) and key.key_size not in _KEY_BITS:
        raise _FaultError(f"has a key of {key.key_size} bits")
    return key


def _bytes(value: bytes) -> bytes:
    """A tag's value that is base64, blanks in it or not. Raises ValueError."""
    return base64.b64decode(b"".join(value.split()), validate=True)


def _check_record(tags: dict[bytes, bytes], signature: _Signature) -> None:
    """Whether a key may be used for this. Raises _FaultError."""
    listed = {tag: [one.strip().lower() for one in tags.get(tag, usual).split(b":")] for tag, usual in _LISTED.items()}
    if tags.get(b"v", b"DKIM1") != b"DKIM1" or tags.get(b"k", b"rsa") != _ALGORITHMS[signature.tags[b"a"]]:
        raise _FaultError("has a key of another kind")
    if b"sha256" not in listed[b"h"] or not {b"*", b"email"} & set(listed[b"s"]):
        raise _FaultError("has a key that is for something else")
    if b"y" in listed[b"t"]:
        raise _FaultError("has a key that is being tried out (t=y)")
    of = signature.tags.get(b"i", b"@").rpartition(b"@")[2].decode("ascii", "replace").lower()
    if b"s" in listed[b"t"] and of not in ("", signature.domain):
        raise _FaultError("is in the name of a domain below its own, which its key forbids (t=s)")


_LISTED = {b"h": b"sha256", b"s": b"*", b"t": b""}  # tags of a key that hold lists, with what stands for none


def _check_signed(message: _Message, signature: _Signature, key: RSAPublicKey | Ed25519PublicKey) -> None:
    """Whether body and fields are those that were signed. Raises _FaultError, or what the libraries raise."""
    policy = CanonicalizationPolicy.from_c_value(signature.tags.get(b"c"))
    # Done before dkimpy does the same: its first step takes quadratic time where many blanks stand together.
    body = compress_whitespace(message.body) if policy.body_algorithm is Relaxed else message.body
    if hashlib.sha256(policy.canonicalize_body(body)).digest() != _bytes(signature.tags[b"bh"]):
        raise _FaultError("the body is not the one that was signed")
    sums = hashlib.sha256()
    fields = policy.canonicalize_headers(message.fields)
    dkim.hash_headers(sums, policy, fields, signature.signed, signature.field, signature.tags)
    made = _bytes(signature.tags[b"b"])
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(made, sums.digest(), PKCS1v15(), Prehashed(hashes.SHA256()))
        else:
            key.verify(made, sums.digest())  # RFC 8463 3: of the sum, not of the fields
    except InvalidSignature:
        raise _FaultError("the header is not the one that was signed") from None


# --- the word of a trusted server ---------------------------------------------------------------------------


def _own_results(message: _Message, authserv_id: str) -> str | None:
    """The topmost Authentication-Results of that server, unfolded. Raises _FaultError where it is too large."""
    for _, value in message.values(b"authentication-results"):
        text = " ".join(value[: _RESULTS_LIMIT + 1].decode("ascii", "replace").split())
        if re.match(r"[^\s;()]*", text)[0].lower() == authserv_id:  # type: ignore[index]  # matches nothing too
            if len(value) > _RESULTS_LIMIT:
                raise _FaultError(f"the results of {authserv_id} are too large to be read")
            return text
    return None


def _check_unless_foreign(message: _Message, field: Field, author_domain: str, now: datetime, fresh: bool) -> None:
    """What a signature claims, where it is one that may have made the trusted server say `pass`. Raises _FaultError."""
    signature = _signature(field)
    if signature is None:
        raise _FaultError("a DKIM signature cannot be read")
    if _is_aligned(author_domain, signature.domain):
        try:
            _check_claims(message, signature, now, fresh)
        except _FaultError as fault:
            raise _FaultError(f"{signature}: {fault}") from None


def _pass(value: str, author_domain: str) -> str:
    """Which result speaks for `author_domain`. Raises _FaultError where none does."""
    try:
        results = _authres.parse_value(value).results
    except Exception as error:  # whatever the library trips over is no proof
        raise _FaultError("the results of the trusted server cannot be read") from error
    for one in results:
        if one.result != "pass":
            continue
        if one.method == "dkim" and _is_aligned(author_domain, one.header_d or (one.header_i or "").rpartition("@")[2]):
            return "dkim=pass"
        if one.method == "dmarc" and (one.header_from or "").lower() == author_domain.lower():
            return "dmarc=pass"
    raise _FaultError(f"the trusted server has no dkim=pass or dmarc=pass of {author_domain}")
