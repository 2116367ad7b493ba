"""DKIM signatures of mail that goes out (RFC 6376): the body is summed up once a mail, the header once a copy.

It sends nothing and writes no other field. dkimpy canonicalises, OpenSSL signs (signers); rsa-sha256 with 2,048 bits or
more is what every receiver can check (RFC 8301).
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from dkim.canonicalization import Relaxed, compress_whitespace

from tidings.errors import SettingsError
from tidings.mailer.signers import sign

_LEAST_BITS = 2048
# What a reader sees or a program acts on (RFC 6376 5.4.1). Each is named as often as it stands there.
_SIGNED = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type "
    b"content-transfer-encoding list-id list-post list-help list-archive list-unsubscribe list-unsubscribe-post "
    b"list-subscribe list-owner archived-at auto-submitted".split()
)
# Named once more than they stand there, so that nobody adds a second one that is shown instead (RFC 6376 8.15).
_NEVER_ADDED = (b"from", b"subject", b"to", b"cc", b"reply-to", b"date", b"message-id")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*(?:\r\n[ \t].*)*\r\n)")
_LINE = 72


@dataclass(frozen=True, kw_only=True)
class DkimKey:
    """The key that signs, and where its public half stands: `selector`._domainkey.`domain`."""

    domain: str
    selector: str
    key: RSAPrivateKey

    @property
    def record(self) -> str:
        """The TXT record with the public half."""
        data = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(data).decode()}"


def load_key(path: Path, *, domain: str, selector: str) -> DkimKey:
    """The key in a PEM file. Raises SettingsError, which says what to do."""
    make = f"make one with `openssl genrsa -out {path.name} 2048`"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(f"Cannot read dkim.key_file {path}: {error.strerror}; {make}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"dkim.key_file {path} holds no private key in PEM without a password; {make}.") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise SettingsError(f"dkim.key_file {path} is no RSA key of {_LEAST_BITS} bits or more; {make}.")
    return DkimKey(domain=domain, selector=selector, key=key)


class Signature:
    """Signs the copies of one mail, which share its bytes and have a few fields each of their own."""

    def __init__(self, key: DkimKey, head: bytes, body: bytes, personal: Sequence[str], now: datetime) -> None:
        """`head` is the shared header block without its empty line, `personal` names the fields that copies add.

        All line ends are CR LF. `now` is when the signature says that it was made.
        """
        self._key = key.key
        fields = [(found[1], found[2]) for found in _FIELD.finditer(head)]
        # From the bottom up, as a verifier takes fields of one name (RFC 6376 5.4.2).
        signed = [field for field in reversed(fields) if field[0].lower() in _SIGNED]
        names = [name.lower() for name, _ in signed] + list(_NEVER_ADDED) + [name.lower().encode() for name in personal]
        # The first step of dkimpy's relaxed body takes quadratic time where many blanks stand together.
        total = hashlib.sha256(Relaxed.canonicalize_body(compress_whitespace(body))).digest()
        claims = f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={key.domain}; s={key.selector}; t={int(now.timestamp())};"
        self._field = b"\r\n\t".join(
            [
                b"DKIM-Signature: " + claims.encode(),
                *_folded(b"h=" + b":".join(names) + b";"),
                b"bh=" + base64.b64encode(total) + b";",
                b"b=",
            ]
        )
        self._own = b"dkim-signature:" + b" ".join(self._field.split(b":", 1)[1].split())
        self._shared = hashlib.sha256()
        for name, value in Relaxed.canonicalize_headers(signed):
            self._shared.update(name + b":" + value)

    def field(self, personal: bytes = b"") -> bytes:
        """The signature of one copy: the whole field, to be put on top of it.

        `personal` are the header lines of that copy alone, in the order in which their fields were named.
        """
        return self.written(sign(self._key, self.digest(personal)))

    def digest(self, personal: bytes) -> bytes:
        """What is to be signed for the copy with these lines: a SHA-256 digest."""
        total = self._shared.copy()
        for found in _FIELD.finditer(personal):
            total.update(found[1].lower() + b":" + b" ".join(found[2].split()) + b"\r\n")
        total.update(self._own)
        return total.digest()

    def written(self, signature: bytes) -> bytes:
        """The whole field with the signature over a copy's digest."""
        text = base64.b64encode(signature)
        return self._field + b"\r\n\t".join(text[at : at + _LINE] for at in range(0, len(text), _LINE)) + b"\r\n"


def _folded(names: bytes) -> list[bytes]:
    """The list of names in lines, broken after a colon (RFC 6376 3.5: white space may stand there)."""
    lines = [b""]
    for name in re.findall(rb"[^:]+:?", names):
        if len(lines[-1]) + len(name) > _LINE:
            lines.append(b"")
        lines[-1] += name
    return lines
