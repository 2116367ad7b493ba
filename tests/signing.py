"""Signs made-up messages for tests, and answers for the DNS with the signers' keys.

Keys are made once a run. dkimpy writes the signatures, with whatever tags a test wants to see in them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim.canonicalization import CanonicalizationPolicy
from dkim.crypto import parse_pem_private_key

SIGNED = ("from", "to", "subject", "date", "message-id")


@cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    """An RSA key of so many bits; the same one all over a run."""
    return generate_private_key(65537, bits)


@cache
def ed25519_key() -> Ed25519PrivateKey:
    """An Ed25519 key; the same one all over a run."""
    return Ed25519PrivateKey.generate()


@dataclass
class MadeUpDns:
    """Answers from `records` and `hosts`; a name in `silent` never answers. `asked` is what was asked, in order."""

    records: dict[str, list[bytes]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    hosts: dict[str, list[str]] = field(default_factory=dict)

    def txt(self, name: str) -> list[bytes]:
        self._ask(name)
        return self.records.get(name, [])

    def mx(self, name: str) -> list[str]:
        self._ask(name)
        return self.hosts.get(name, [])

    def _ask(self, name: str) -> None:
        self.asked.append(name)
        if name in self.silent:
            raise TimeoutError(f"no answer for {name}")


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One who signs for a domain."""

    domain: str = "example.org"
    selector: str = "mail"
    key: RSAPrivateKey | Ed25519PrivateKey = field(default_factory=rsa_key)

    def record(self, **tags: str) -> dict[str, list[bytes]]:
        """What the DNS says of the key, with more or other tags."""
        public = self.key.public_key()
        if isinstance(self.key, RSAPrivateKey):
            kind, data = "rsa", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind, data = "ed25519", public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        all_tags = {"v": "DKIM1", "k": kind, "p": base64.b64encode(data).decode()} | tags
        text = "; ".join(f"{tag}={value}" for tag, value in all_tags.items())
        return {f"{self.selector}._domainkey.{self.domain}": [text.encode()]}

    def sign(
        self,
        raw: bytes,
        at: datetime | None,
        *,
        signed: Sequence[str] = SIGNED,
        canonical: str = "relaxed/relaxed",
        **tags: str | None,
    ) -> bytes:
        """`raw` with a signature on top that was made at `at` (None: it does not say).

        `tags` replace those of the signature or are added to them; None leaves one out.
        """
        algorithm = tags.get("a") or ("rsa-sha256" if isinstance(self.key, RSAPrivateKey) else "ed25519-sha256")
        signer = dkim.DKIM(raw, signature_algorithm=algorithm.encode())
        signer.hasher = dkim.HASH_ALGORITHMS[algorithm.encode()]
        policy = CanonicalizationPolicy.from_c_value(canonical.encode())
        body = policy.canonicalize_body(signer.body)
        if tags.get("l"):
            body = body[: int(tags["l"] or 0)]
        all_tags: dict[str, str | None] = {
            "v": "1",
            "a": algorithm,
            "c": canonical,
            "d": self.domain,
            "s": self.selector,
            "t": str(int(at.timestamp())) if at else None,
            "h": ":".join(signed),
            "bh": base64.b64encode(signer.hasher(body).digest()).decode(),
        }
        all_tags |= tags
        fields = [(tag.encode(), value.encode()) for tag, value in all_tags.items() if value is not None]
        names = [name.encode() for name in signed]
        value = signer.gen_header(
            [*fields, (b"b", b"0" * 60)], names, policy, b"DKIM-Signature", _private(self.key), standardize=False
        )
        made: bytes = b"DKIM-Signature: " + value + raw
        return made


def _private(key: RSAPrivateKey | Ed25519PrivateKey) -> Any:
    """A key as dkimpy takes it; for Ed25519 it wants an object of a package that we do without."""
    if isinstance(key, RSAPrivateKey):
        return parse_pem_private_key(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return SimpleNamespace(sign=lambda digest: SimpleNamespace(signature=key.sign(digest)))
