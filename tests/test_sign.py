"""DKIM signatures of what goes out: dkimpy and our own check both find every copy good, and any change bad."""

from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.signing import MadeUpDns, ed25519_key, rsa_key
from tidings.errors import SettingsError
from tidings.mailer.sign import DkimKey, Signature, load_key
from tidings.mailer.verify import verify

NOW = datetime(2026, 10, 14, 7, 0, tzinfo=UTC)
KEY = DkimKey(domain="lists.example.org", selector="tidings", key=rsa_key())
NAME = "tidings._domainkey.lists.example.org"
PERSONAL = ("List-Unsubscribe", "List-Unsubscribe-Post")

HEAD = (
    b"From: Ana <ana@lists.example.org>\r\n"
    b"To: pump@lists.example.org,\r\n\tli@example.org\r\n"
    b"Subject:  The  seal\r\n  leaks \r\n"
    b"Date: Wed, 14 Oct 2026 07:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"List-Id: <pump.lists.example.org>\r\n"
    b"References: <" + b"r" * 900 + b"@example.org>\r\n"
    b"Received: from a by b\r\n"
)
BODY = b"It leaks.  \r\n\r\nStill \t does.\r\n\r\n\r\n"


def copy(signature: Signature, number: int) -> bytes:
    own = (
        f"List-Unsubscribe: <https://tidings.example.org/u/{number}>,\r\n"
        " <mailto:pump+unsubscribe@lists.example.org>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    ).encode()
    return signature.field(own) + own + HEAD + b"\r\n" + BODY


def checks(raw: bytes) -> bool:
    """Whether dkimpy and our own check find it good; they must agree."""
    dns = MadeUpDns({NAME: [KEY.record.encode()]})
    theirs = dkim.verify(raw, dnsfunc=lambda name, timeout=5: dns.txt(name.decode().rstrip("."))[0])
    ours = verify(raw, "lists.example.org", dns=dns, now=NOW)
    assert ours.aligned is theirs, ours.how
    return bool(theirs)


def test_every_copy_of_a_mail_has_a_signature_that_holds() -> None:
    signature = Signature(KEY, HEAD, BODY, PERSONAL, NOW)
    copies = [copy(signature, number) for number in range(3)]
    assert all(checks(one) for one in copies)
    assert len({one.partition(b"b=")[2] for one in copies}) == 3
    assert max(len(line) for line in copies[0].split(b"\r\n") if b"rrr" not in line) <= 200


@pytest.mark.acceptance(56)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/u/1", b"/u/2"),
        (b"One-Click", b"No-Click"),
        (b"Ana <ana@", b"Eve <ana@"),
        (b"seal", b"deal"),
        (b"It leaks.", b"It holds."),
        (b"<pump.lists", b"<evil.lists"),
        (b"From: ", b"From: Eve <eve@example.org>\r\nFrom: "),
        (b"Subject: ", b"Subject: Another\r\nSubject: "),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
    ],
)
def test_a_copy_that_was_changed_on_its_way_does_not_hold(old: bytes, new: bytes) -> None:
    raw = copy(Signature(KEY, HEAD, BODY, PERSONAL, NOW), 1)
    assert raw.count(old) >= 1
    head, end, body = raw.partition(b"\r\n\r\n")
    signed, rest = head.split(b"\r\nList-Unsubscribe:", 1)
    changed = signed + (b"\r\nList-Unsubscribe:" + rest + end + body).replace(old, new, 1)
    assert not checks(changed)


def test_a_relay_may_add_its_trace_and_refold() -> None:
    raw = copy(Signature(KEY, HEAD, BODY, PERSONAL, NOW), 1)
    assert checks(b"Received: from c by d\r\n" + raw.replace(b"li@example.org\r\n", b"li@example.org \r\n"))


def test_a_mail_without_a_body_and_with_one_of_many_blanks_is_signed() -> None:
    for body in (b"", b"\r\n", b" " * 2_000 + b"x\r\n"):
        signature = Signature(KEY, HEAD, body, (), NOW)
        assert checks(signature.field() + HEAD + b"\r\n" + body)


@pytest.mark.parametrize("kind", ["missing", "text", "short", "ed25519"])
def test_a_key_that_cannot_sign_is_refused_with_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "dkim.pem"
    pem = {
        "text": b"secret\n",
        "short": rsa_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "ed25519": ed25519_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    if kind in pem:
        path.write_bytes(pem[kind])
    with pytest.raises(SettingsError, match=r"openssl genrsa -out dkim\.pem 2048"):
        load_key(path, domain="example.org", selector="x")


def test_a_key_of_a_file_signs_and_says_its_record(tmp_path: Path) -> None:
    path = tmp_path / "dkim.pem"
    path.write_bytes(rsa_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    assert load_key(path, domain="lists.example.org", selector="tidings").record == KEY.record
    assert KEY.record.startswith("v=DKIM1; k=rsa; p=MII")
