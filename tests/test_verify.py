"""From proves nothing by itself: which signatures, and whose word, make it more than a claim."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dns.message
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
    rsa_crt_iqmp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signing import MadeUpDns, Signer, ed25519_key, rsa_key
from tidings.mailer.resolver import SystemDns
from tidings.mailer.verify import Proof, trusted_result, verify

NOW = datetime(2026, 10, 14, 6, 30, tzinfo=UTC)
MADE = NOW - timedelta(minutes=2)
PLAIN = (
    b"From: Ana Berg <ana@example.org>\r\n"
    b"To: pump+command@lists.example.org\r\n"
    b"Subject: crew\r\n"
    b"Date: Wed, 14 Oct 2026 06:28:00 +0000\r\n"
    b"Message-ID: <c1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"set crew B\r\n"
)
SIGNER = Signer()


def dns_of(*signers: Signer) -> MadeUpDns:
    return MadeUpDns({name: texts for signer in signers for name, texts in signer.record().items()})


def proof(raw: bytes, keys: MadeUpDns | None = None, fresh: bool = True) -> Proof:
    return verify(raw, "example.org", dns=keys or dns_of(SIGNER), now=NOW, fresh=fresh)


def with_field(field: bytes, raw: bytes) -> bytes:
    return field + b"\r\n" + raw


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canonical", ["relaxed/relaxed", "relaxed/simple", "simple/simple"])
@pytest.mark.parametrize("key", [rsa_key, ed25519_key])
def test_a_signature_of_the_from_domain_is_a_proof(key: object, canonical: str) -> None:
    signer = Signer(key=key())  # type: ignore[operator]
    found = proof(signer.sign(PLAIN, MADE, canonical=canonical), dns_of(signer))
    assert found == Proof(aligned=True, how="DKIM signature of example.org (mail)")


def test_blanks_that_were_folded_on_the_way_do_not_break_a_relaxed_signature() -> None:
    signed = SIGNER.sign(PLAIN, MADE)
    changed = signed.replace(b"Subject: crew\r\n", b"Subject:\r\n\t crew \r\n").replace(
        b"crew B\r\n", b"crew  B \t\r\n\r\n"
    )
    assert changed != signed
    assert proof(changed).aligned


def test_a_message_without_a_signature_is_none() -> None:
    assert proof(PLAIN) == Proof(
        aligned=False, how="none of its 0 DKIM signatures is of example.org or a domain above it"
    )


@pytest.mark.parametrize("change", [(b"set crew B", b"set crew A"), (b"Subject: crew", b"Subject: role")])
def test_what_was_changed_on_the_way_is_no_proof(change: tuple[bytes, bytes]) -> None:
    assert "not the one that was signed" in proof(SIGNER.sign(PLAIN, MADE).replace(*change)).how


def test_a_domain_speaks_for_those_below_it() -> None:
    raw = SIGNER.sign(PLAIN.replace(b"ana@example.org", b"ana@ward.example.org"), MADE)
    assert verify(raw, "Ward.example.org", dns=dns_of(SIGNER), now=NOW).aligned


@pytest.mark.acceptance(51)
@pytest.mark.parametrize(
    "domain", ["evil.example", "mail.example.org", "notexample.org", "org", "example.org.evil.example"]
)
def test_a_signature_that_holds_but_is_of_another_domain_is_no_proof_and_costs_no_question(domain: str) -> None:
    signer = Signer(domain=domain)
    assert verify(signer.sign(PLAIN, MADE), domain, dns=dns_of(signer), now=NOW).aligned is (domain != "org")
    keys = dns_of(signer)
    assert not proof(signer.sign(PLAIN, MADE), keys).aligned
    assert keys.asked == []


def test_a_domain_in_other_letters_is_not_that_of_its_ascii_likeness() -> None:
    signer = Signer(domain="strasse.example.org")
    raw = signer.sign(PLAIN, MADE)
    assert verify(raw, "strasse.example.org", dns=dns_of(signer), now=NOW).aligned
    assert not verify(raw, "straße.example.org", dns=dns_of(signer), now=NOW).aligned


@pytest.mark.acceptance(51)
def test_a_signature_over_a_part_of_the_body_is_no_proof() -> None:
    signed = SIGNER.sign(PLAIN, MADE, l="4")
    assert "l=" in proof(signed).how
    assert "l=" in proof(signed + b"set role owner\r\n", fresh=False).how


@pytest.mark.acceptance(51)
def test_a_signature_that_has_expired_or_is_of_the_future_is_no_proof() -> None:
    def expiring(at: datetime) -> str:
        return str(int(at.timestamp()))

    assert proof(SIGNER.sign(PLAIN, MADE, x=expiring(NOW + timedelta(seconds=1)))).aligned
    for fresh in (True, False):
        assert "expired" in proof(SIGNER.sign(PLAIN, MADE, x=expiring(NOW - timedelta(seconds=1))), fresh=fresh).how
        assert "future" in proof(SIGNER.sign(PLAIN, NOW + timedelta(hours=1)), fresh=fresh).how
        assert "no time in t=" in proof(SIGNER.sign(PLAIN, MADE, t="soon"), fresh=fresh).how


@pytest.mark.acceptance(51)
def test_an_old_signature_is_no_proof_for_a_command_and_one_for_a_post() -> None:
    raw = SIGNER.sign(PLAIN, NOW - timedelta(days=3, seconds=1))
    assert "last three days" in proof(raw).how
    assert proof(raw, fresh=False).aligned
    assert proof(SIGNER.sign(PLAIN, NOW - timedelta(days=3))).aligned


@pytest.mark.acceptance(51)
def test_a_command_must_sign_its_message_id_so_that_a_replay_under_another_one_is_told() -> None:
    raw = SIGNER.sign(PLAIN, MADE, signed=("from", "to", "subject", "date"))
    replayed = raw.replace(b"<c1@example.org>", b"<c2@example.org>")
    assert "Message-ID" in proof(replayed).how
    assert proof(replayed, fresh=False).aligned


def test_where_a_signature_does_not_say_when_a_signed_date_does() -> None:
    assert proof(SIGNER.sign(PLAIN, None)).aligned
    assert "last three days" in proof(SIGNER.sign(PLAIN.replace(b"14 Oct 2026", b"04 Oct 2026"), None)).how
    assert "last three days" in proof(SIGNER.sign(PLAIN.replace(b"14 Oct 2026", b"24 Oct 2026"), None)).how
    assert "when it was made" in proof(SIGNER.sign(PLAIN.replace(b"Wed, 14 Oct 2026", b"today"), None)).how
    assert "when it was made" in proof(SIGNER.sign(PLAIN, None, signed=("from", "message-id"))).how


@pytest.mark.acceptance(51)
@pytest.mark.parametrize(
    "field",
    [
        b"From: Eva <eva@evil.example>",
        b"from : Eva <eva@evil.example>",
        b"Subject: role",
        b"Message-ID: <c2@example.org>",
        b"Content-Type: multipart/mixed; boundary=x",
        b"Reply-To: eva@evil.example\r\nReply-To: ana@example.org",
    ],
)
def test_a_second_field_of_what_there_is_only_one_of_is_no_proof(field: bytes) -> None:
    assert "more than one" in proof(with_field(field, SIGNER.sign(PLAIN, MADE))).how


@pytest.mark.acceptance(51)
@pytest.mark.parametrize(
    "header",
    [
        b"X-Mood: fine\rFrom: eva@evil.example",
        b"X-Mood: fine\nFrom: eva@evil.example",
        b"X-Mood: fi\0ne",
        b"no field at all",
    ],
)
def test_a_header_that_others_may_read_in_another_way_is_no_proof(header: bytes) -> None:
    found = proof(with_field(header, SIGNER.sign(PLAIN, MADE)))
    assert not found.aligned
    assert found.how.startswith("its header has")


def test_a_message_without_from_is_no_proof() -> None:
    assert proof(PLAIN.replace(b"From:", b"Sender:")).how == "it has no From field"


def test_a_signature_that_leaves_from_out_is_no_proof() -> None:
    assert "does not sign From" in proof(SIGNER.sign(PLAIN, MADE, signed=("subject", "message-id"))).how


def test_a_signature_with_sha_1_is_no_proof() -> None:
    assert "algorithm" in proof(SIGNER.sign(PLAIN, MADE, a="rsa-sha1")).how


def test_one_good_signature_among_bad_ones_is_enough() -> None:
    other = Signer(domain="list.example", selector="x")
    stale = Signer(selector="old")
    raw = other.sign(stale.sign(SIGNER.sign(PLAIN, MADE), NOW - timedelta(days=9)), MADE)
    assert proof(raw, dns_of(other, stale, SIGNER)).aligned


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"v": "DKIM2"}, "another kind"),
        ({"k": "ed25519"}, "another kind"),
        ({"p": ""}, "withdrawn"),
        ({"p": "AAAA"}, "cannot be checked"),
        ({"p": "!"}, "cannot be checked"),
        ({"h": "sha1"}, "something else"),
        ({"s": "tlsrpt"}, "something else"),
        ({"t": "y"}, "tried out"),
        ({"n": "x" * 5000}, "too large"),
        ({"": "x"}, "cannot be checked"),
    ],
)
def test_a_key_that_is_not_for_this_is_no_proof(tags: dict[str, str], reason: str) -> None:
    found = proof(SIGNER.sign(PLAIN, MADE), MadeUpDns(SIGNER.record(**tags)))
    assert not found.aligned
    assert reason in found.how


@pytest.mark.parametrize("tags", [{"h": "sha1:sha256"}, {"s": "tlsrpt:email"}, {"s": "*"}, {"t": "s"}, {"n": "Ana"}])
def test_what_a_key_may_say_besides_does_no_harm(tags: dict[str, str]) -> None:
    assert proof(SIGNER.sign(PLAIN, MADE), MadeUpDns(SIGNER.record(**tags))).aligned


def test_a_key_may_forbid_names_below_its_domain() -> None:
    raw = SIGNER.sign(PLAIN, MADE, i="ana@ward.example.org")
    assert proof(raw).aligned
    assert "t=s" in proof(raw, MadeUpDns(SIGNER.record(t="s"))).how


def test_a_name_outside_the_signing_domain_makes_a_signature_unreadable() -> None:
    assert "none of its 0" in proof(SIGNER.sign(PLAIN, MADE, i="ana@evil.example")).how


def test_no_key_and_two_keys_are_no_proof() -> None:
    raw = SIGNER.sign(PLAIN, MADE)
    (name, texts), *_ = SIGNER.record().items()
    assert "has no keys" in proof(raw, MadeUpDns()).how
    assert "has 2 keys" in proof(raw, MadeUpDns({name: texts * 2})).how


def test_a_key_of_1024_bits_is_the_shortest_that_proves_anything() -> None:
    shortest = Signer(key=rsa_key(1024))
    assert proof(shortest.sign(PLAIN, MADE), dns_of(shortest)).aligned
    weak = Signer(key=_weak_key())
    assert "a key of 512 bits" in proof(weak.sign(PLAIN, MADE), dns_of(weak)).how


def _weak_key() -> RSAPrivateKey:
    """A key of 512 bits, from its primes: the library makes none so short."""
    p = 0xEF0423034429A0AB2D2CA41E2E5F933E5C7C97D845CB3F70232C84E93368836D
    q = 0xC3CDDBDEB2066D7F8B70653A86FEA6A20100BD006D5DD4CAC77139AF36935969
    e = 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    return RSAPrivateNumbers(
        p, q, d, rsa_crt_dmp1(d, p), rsa_crt_dmq1(d, q), rsa_crt_iqmp(p, q), RSAPublicNumbers(e, p * q)
    ).private_key()


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_five_signatures_are_tried_and_no_more() -> None:
    raw = PLAIN
    signers = [Signer(selector=f"s{number}") for number in range(7)]
    for signer in signers:
        raw = signer.sign(raw, MADE)
    keys = MadeUpDns()
    assert not proof(raw, keys).aligned
    assert keys.asked == [f"s{number}._domainkey.example.org" for number in (6, 5, 4, 3, 2)]


def test_where_the_dns_is_silent_nothing_more_is_asked() -> None:
    raw = Signer(selector="s2").sign(Signer(selector="s1").sign(PLAIN, MADE), MADE)
    keys = MadeUpDns(silent={"s1._domainkey.example.org", "s2._domainkey.example.org"})
    assert "no answer" in proof(raw, keys).how
    assert len(keys.asked) == 1


def test_blanks_without_end_are_read_in_linear_time() -> None:
    # The same work done the obvious way takes hours here, not seconds.
    raw = SIGNER.sign(PLAIN, MADE) + b" " * 3_000_000 + b"x\r\n"
    assert "the body is not the one" in proof(raw).how


def test_a_header_past_the_limits_is_not_looked_at() -> None:
    signed = SIGNER.sign(PLAIN, MADE)
    assert proof(with_field(b"X-Fill: " + b"x" * 200_000, signed)).aligned
    assert "too large" in proof(with_field(b"X-Fill: " + b"x" * 300_000, signed)).how
    assert "too many" in proof(b"X-Fill: x\r\n" * 1_000 + signed).how
    assert "too large" in proof(b"From: ana@example.org\r\n" + b"X: y\r\n" * 100_000).how


def test_a_signature_field_longer_than_any_real_one_is_not_read() -> None:
    assert "none of its 0" in proof(SIGNER.sign(PLAIN, MADE, z="x" * 5_000)).how


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert not proof(raw).aligned
    trusted_result(raw, "example.org", authserv_id="mx.example.org", now=NOW)


@settings(max_examples=150)
@given(at=st.integers(0, 1200), put=st.binary(min_size=1, max_size=6), cut=st.integers(0, 6))
def test_no_change_to_a_signed_message_makes_it_raise(at: int, put: bytes, cut: int) -> None:
    raw = with_field(OURS + b" dkim=pass header.d=example.org", SIGNER.sign(PLAIN, MADE))
    changed = raw[:at] + put + raw[at + cut :]
    assert proof(changed).how
    trusted_result(changed, "example.org", authserv_id="mx.example.org", now=NOW)


@given(
    tags=st.dictionaries(
        st.sampled_from(["a", "c", "d", "i", "s", "t", "x", "h", "bh", "q", "v"]), st.text("a1=:/@. ~;")
    )
)
def test_no_tag_of_a_signature_makes_it_raise(tags: dict[str, str]) -> None:
    made = {"v": "1", "a": "rsa-sha256", "d": "example.org", "s": "mail", "h": "from", "bh": "AA==", "b": "AA=="} | tags
    text = "DKIM-Signature: " + "; ".join(f"{tag}={value}" for tag, value in made.items())
    assert not proof(with_field(text.encode(), PLAIN), fresh=False).aligned


@given(record=st.binary(max_size=100))
def test_no_key_record_makes_it_raise(record: bytes) -> None:
    keys = MadeUpDns({"mail._domainkey.example.org": [b"p=" + record]})
    assert not proof(_SIGNED_ONCE, keys).aligned


_SIGNED_ONCE = SIGNER.sign(PLAIN, MADE)


# --- the word of a trusted server ------------------------------------------------------------------------------------

OURS = b"Authentication-Results: mx.example.org;"


def told(raw: bytes, fresh: bool = True) -> Proof | None:
    return trusted_result(raw, "example.org", authserv_id="mx.example.org", now=NOW, fresh=fresh)


def says(raw: bytes, fresh: bool = True) -> bool:
    found = told(raw, fresh)
    assert found is not None
    return found.aligned


@pytest.mark.parametrize(
    ("results", "aligned"),
    [
        (b" dkim=pass header.d=example.org", True),
        (b" dkim=pass header.d=Example.ORG", True),
        (b" dkim=pass (2048-bit key) header.i=@example.org header.s=mail", True),
        (b" dkim=pass reason=fine header.i=ana@example.org", True),
        (b"\r\n\tspf=fail smtp.mailfrom=evil.example;\r\n\tdkim=pass header.d=example.org", True),
        (b" dkim=fail header.d=example.org; dkim=pass header.d=example.org", True),
        (b" dmarc=pass (p=reject dis=none) header.from=example.org", True),
        (b" dkim=pass header.d=evil.example", False),
        (b" dkim=pass header.d=mail.example.org", False),
        (b" dkim=pass header.d=org", False),
        (b" dkim=pass", False),
        (b" dkim=fail header.d=example.org", False),
        (b" dkim=none", False),
        (b" none", False),
        (b" spf=pass smtp.mailfrom=ana@example.org", False),
        (b" dmarc=fail header.from=example.org", False),
        (b" dmarc=pass header.from=evil.example", False),
        (b" dmarc=pass", False),
        (b" spf=pass (dkim=pass header.d=example.org) smtp.mailfrom=evil.example", False),
        (b' spf=pass smtp.mailfrom="x; dkim=pass header.d=example.org"@evil.example', False),
        (b" dkim=pass header.d=example.org (", False),
        (b" ((((", False),
    ],
)
def test_a_trusted_server_says_pass_for_the_from_domain_or_it_is_no_proof(results: bytes, aligned: bool) -> None:
    assert says(with_field(OURS + results, PLAIN)) is aligned


def test_without_a_word_of_the_trusted_server_there_is_none() -> None:
    assert told(PLAIN) is None
    assert told(with_field(b"Authentication-Results: other.example; dkim=pass header.d=example.org", PLAIN)) is None
    assert (
        trusted_result(
            with_field(b"Authentication-Results: ; dkim=pass header.d=example.org", PLAIN),
            "example.org",
            authserv_id="",
            now=NOW,
        )
        is None
    )


@pytest.mark.acceptance(51)
@pytest.mark.parametrize(
    "verdict", [b" dkim=none", b" dkim=fail header.d=example.org", b" spf=none", b" ((", b" " + b"x" * 9000]
)
def test_a_forged_result_below_that_of_the_trusted_server_counts_for_nothing(verdict: bytes) -> None:
    forged = with_field(OURS + b" dkim=pass header.d=example.org; dmarc=pass header.from=example.org", PLAIN)
    assert says(forged)  # which is why the server in front must take such fields away
    received = b"Received: from evil.example by mx.example.org; Wed, 14 Oct 2026 06:29:00 +0000\r\n"
    assert not says(received + with_field(OURS + verdict, forged))
    assert not says(with_field(OURS + verdict, received + forged))


def test_the_name_of_the_trusted_server_is_compared_as_a_whole() -> None:
    results = b" dkim=pass header.d=example.org"
    assert says(with_field(b"Authentication-Results: MX.example.org 1;" + results, PLAIN))
    for name in (b"mx.example.org.evil.example", b"evil.mx.example.org", b"mx.example.orgs", b"(mx.example.org) evil"):
        assert told(with_field(b"Authentication-Results: " + name + b";" + results, PLAIN)) is None


@pytest.mark.acceptance(51)
def test_a_pass_for_an_old_command_or_a_part_of_the_body_is_no_proof() -> None:
    for results in (b" dkim=pass header.d=example.org", b" dmarc=pass header.from=example.org"):
        field = OURS + results
        assert says(with_field(field, SIGNER.sign(PLAIN, MADE)))
        old = SIGNER.sign(PLAIN, NOW - timedelta(days=9))
        assert not says(with_field(field, old))
        assert says(with_field(field, old), fresh=False)
        assert not says(with_field(field, SIGNER.sign(PLAIN, MADE, l="4")), fresh=False)
        assert not says(with_field(field, SIGNER.sign(old, MADE)))  # a fresh one that may not hold hides no old one
        assert not says(with_field(field, SIGNER.sign(PLAIN, MADE, z="x" * 5_000)))
        assert says(with_field(field, Signer(domain="list.example").sign(PLAIN, NOW - timedelta(days=9))))


@pytest.mark.acceptance(51)
def test_a_pass_for_a_message_with_two_from_fields_is_no_proof() -> None:
    raw = with_field(OURS + b" dmarc=pass header.from=example.org", PLAIN)
    assert says(raw)
    assert not says(raw.replace(b"To:", b"From: eva@evil.example\r\nTo:"))


# --- the DNS ---------------------------------------------------------------------------------------------------------


@contextmanager
def name_server(answers: bool) -> Iterator[SystemDns]:
    """A DNS server that knows `mail.example.org`, or says nothing at all; and a Dns that asks it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = link.recvfrom(4096)
                if data == b"end":
                    return
                if answers:
                    link.sendto(_answer(dns.message.from_wire(data)), peer)

        thread = threading.Thread(target=serve)
        thread.start()

        def resolver() -> dns.resolver.Resolver:
            made = dns.resolver.Resolver(configure=False)
            made.nameservers, made.port = ["127.0.0.1"], link.getsockname()[1]
            return made

        try:
            yield SystemDns(resolver, seconds=5.0 if answers else 0.1)
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"end", link.getsockname())
            thread.join()


def _answer(query: dns.message.Message) -> bytes:
    answer = dns.message.make_response(query)
    name = query.question[0].name
    if str(name) == "mail.example.org.":
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", '"v=DKIM1; " "p=AAAA"'))
    elif str(name) == "lost.example.org.":
        answer.set_rcode(dns.rcode.SERVFAIL)
    else:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()


def test_the_strings_of_a_record_are_joined_and_an_absent_name_has_none() -> None:
    with name_server(answers=True) as resolver:
        assert resolver.txt("mail.example.org") == [b"v=DKIM1; p=AAAA"]
        assert resolver.txt("nobody.example.org") == []
        with pytest.raises(TimeoutError):
            resolver.txt("lost.example.org")


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_limit() -> None:
    with name_server(answers=False) as resolver, pytest.raises(TimeoutError):
        resolver.txt("mail.example.org")


def test_a_machine_without_resolvers_gets_no_answer() -> None:
    def none() -> dns.resolver.Resolver:
        return dns.resolver.Resolver("no-such-file")

    with pytest.raises(TimeoutError):
        SystemDns(none).txt("mail.example.org")
