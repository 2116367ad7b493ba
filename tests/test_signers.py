"""Signatures that processes make ahead: each is the one that would be made here, whatever becomes of the processes."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.running import wait_until
from tests.signing import rsa_key
from tidings.mailer.signers import Signers, sign

KEY = rsa_key()
DIGESTS = [hashlib.sha256(b"%d" % number).digest() for number in range(110)]  # four chunks, and some more
SIGNATURES = [sign(KEY, digest) for digest in DIGESTS]


@pytest.fixture
def signers() -> Iterator[Signers]:
    made = Signers(KEY, processes=2)
    yield made
    made.close()


def test_each_digest_gets_its_own_signature(signers: Signers) -> None:
    for _ in range(3):  # at first they are only starting
        made = [signers.ahead(digest) for digest in DIGESTS]
        assert [one() for one in reversed(made)] == SIGNATURES[::-1]
        wait_until(lambda: bool(signers.processes), "a process")


def test_a_few_need_no_process(signers: Signers) -> None:
    assert [one() for one in [signers.ahead(digest) for digest in DIGESTS[:20]]] == SIGNATURES[:20]
    assert not signers.processes


def test_without_another_core_there_is_none() -> None:
    signers = Signers(KEY, processes=0)
    assert [one() for one in [signers.ahead(digest) for digest in DIGESTS]] == SIGNATURES
    assert not signers.processes


@pytest.mark.parametrize(("cores", "wanted"), [(1, 0), (2, 2), (8, 3)])
def test_there_is_a_process_for_each_core_up_to_three(cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    signers = Signers(KEY)
    for digest in DIGESTS * 2:
        signers.ahead(digest)
    if wanted:
        wait_until(lambda: len(signers.processes) == wanted, "the processes")
    assert len(signers.processes) == wanted
    signers.close()


def test_a_process_that_is_killed_costs_no_signature(signers: Signers, caplog: pytest.LogCaptureFixture) -> None:
    for digest in DIGESTS:
        signers.ahead(digest)
    wait_until(lambda: bool(signers.processes), "a process")
    for process in signers.processes:
        os.kill(process, signal.SIGKILL)
    made = [signers.ahead(digest) for digest in DIGESTS]
    wait_until(lambda: "A process that signs failed" in caplog.text, "the failure")
    assert [one() for one in made] == SIGNATURES


def test_what_is_asked_for_after_the_end_is_signed_all_the_same(signers: Signers) -> None:
    made = [signers.ahead(digest) for digest in DIGESTS]
    signers.close()
    assert [one() for one in made] == SIGNATURES


def test_a_process_whose_site_was_killed_ends_without_a_word() -> None:
    key = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    line = [sys.executable, "-m", "tidings.mailer.signers"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as orphan:
        assert orphan.stdin is not None and orphan.stdout is not None and orphan.stderr is not None
        orphan.stdout.close()
        for sent in (key, DIGESTS[0]):
            orphan.stdin.write(len(sent).to_bytes(4) + sent)
        orphan.stdin.close()
        assert orphan.stderr.read() == b""
