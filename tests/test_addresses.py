"""The addresses of a community, and the replies at the door: which forms mean something, which code a name says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer import reply_codes
from tidings.mailer.addresses import EDITION_PREFIX, Addresses, Recipient, host_of, is_edition_id, read_recipient
from tidings.settings import SiteSettings

DOMAIN = "lists.example.org"
TOKEN = "abcdefghijklmnopqrstuvwxyz23456723"


def read(local: str, host: str = DOMAIN) -> tuple[str, str, str] | None:
    found = read_recipient(f"{local}@{host}")
    if found is None:
        return None
    assert found.domain == DOMAIN
    return found.community, found.purpose, found.token


# --- recipients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("pump", ("pump", "post", "")),
        ("PUMP", ("pump", "post", "")),
        ("pump.team_2", ("pump.team_2", "post", "")),
        ("pump+owner", ("pump", "owner", "")),
        ("pump-owner", ("pump", "owner", "")),
        ("Pump-Owner", ("pump", "owner", "")),
        ("pump+unsubscribe", ("pump", "unsubscribe", "")),
        ("pump-unsubscribe", ("pump", "unsubscribe", "")),
        (f"pump+r.{TOKEN}", ("pump", "reply", TOKEN)),
        (f"Pump+R.{TOKEN.upper()}", ("pump", "reply", TOKEN)),
        ("pump+r.", ("pump", "reply", "")),
        ("pump+subscribe", ("pump", "subscribe", "")),
        ("pump-join", ("pump", "subscribe", "")),
        ("pump-leave", ("pump", "unsubscribe", "")),
        ("pump+help", ("pump", "help", "")),
        ("pump+command", ("pump", "command", "")),
        ("pump-request", ("pump", "command", "")),
        (f"pump+confirm.{TOKEN}", ("pump", "confirm", TOKEN)),
        (f"pump-confirm.{TOKEN}", ("pump", "confirm", TOKEN)),
        (f"pump+b.{TOKEN}", ("pump", "bounce", TOKEN)),
    ],
)
def test_an_address_of_a_community_is_read_in_any_case(local: str, expected: tuple[str, str, str]) -> None:
    assert read(local) == expected
    assert read(local, "Lists.Example.ORG") == expected
    assert read(local, DOMAIN + ".") == expected


@pytest.mark.acceptance(7)
@pytest.mark.parametrize(
    "address",
    [
        "pump",
        "pump@",
        "@lists.example.org",
        "ana%example.org@lists.example.org",  # the percent hack
        "pump%lists.example.org@lists.example.org",
        "example.org!ana@lists.example.org",  # a UUCP path
        '"pump"@lists.example.org',  # a quoted local part
        '"pump+owner"@lists.example.org',
        f'"pump+r.{TOKEN}"@lists.example.org',
        "@relay.example.org:pump@lists.example.org",  # a source route
        "@lists.example.org,@b.example.org:pump@lists.example.org",
        "ana@example.org@lists.example.org",
        "pump pump@lists.example.org",
        "pump\0@lists.example.org",
        "pump\r\n@lists.example.org",
        "pump+@lists.example.org",
        "pump-owner+unsubscribe@lists.example.org",
        "pump+nonsense@lists.example.org",
        "pump+owner+owner@lists.example.org",
        "pümp@lists.example.org",
        "pump+r.\N{LATIN SMALL LETTER LONG S}@lists.example.org",
        "\N{KELVIN SIGN}iln@lists.example.org",  # lower() makes a plain k of it
    ],
)
def test_no_other_form_means_anything_here(address: str) -> None:
    assert read_recipient(address) is None


@given(st.text(max_size=40), st.sampled_from(["", "@", "@lists.example.org", "+r.x@lists.example.org"]))
def test_any_text_is_taken_and_a_community_is_always_a_plain_name(local: str, end: str) -> None:
    found = read_recipient(local + end)
    assert found is None or re.fullmatch(r"[a-z0-9_.-]*", found.community)


def test_the_domain_of_an_address_is_what_follows_its_last_at() -> None:
    assert host_of("nobody@LISTS.example.org.") == DOMAIN
    assert host_of("a@b@lists.example.org") == DOMAIN
    assert host_of("lists.example.org@example.org") == "example.org"
    assert host_of("@lists.example.org:ana@example.org") == "example.org"


@pytest.mark.parametrize("separator", ["+", "-"])
@pytest.mark.parametrize(("domain", "host"), [(None, DOMAIN), ("mail.example", "mail.example")])
def test_what_is_written_is_read_again(separator: str, domain: str | None, host: str) -> None:
    address = Addresses(SiteSettings(domain=DOMAIN, separator=separator)).named("pump.team", domain)  # type: ignore[arg-type]
    assert address.post == f"pump.team@{host}"
    assert address.detail("owner") == f"pump.team{separator}owner@{host}"
    written = {address.post: "post", address.detail("help"): "help", address.token("b", TOKEN): "bounce"}
    for one, purpose in written.items():
        found = read_recipient(one)
        assert found is not None
        assert (found.community, found.domain, found.purpose) == ("pump.team", host, purpose)


def test_what_was_read_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Recipient(community="pump", domain=DOMAIN, purpose="post").community = "other"  # type: ignore[misc]


# --- editions --------------------------------------------------------------------------------------------------------


def test_only_an_id_of_our_own_editions_is_one() -> None:
    ours = f"{EDITION_PREFIX}abc@{DOMAIN}"
    assert is_edition_id(ours, DOMAIN)
    assert is_edition_id(f"{EDITION_PREFIX}abc@LISTS.example.org", DOMAIN)
    assert not is_edition_id(f"{EDITION_PREFIX}abc@example.org", DOMAIN)
    assert not is_edition_id(f"abc@{DOMAIN}", DOMAIN)
    assert not is_edition_id(f"x.{ours}", DOMAIN)
    assert not is_edition_id(f"{EDITION_PREFIX}abc@x{DOMAIN}", DOMAIN)
    assert not is_edition_id("", DOMAIN)


# --- replies ---------------------------------------------------------------------------------------------------------

REPLIES = {name: value for name, value in vars(reply_codes).items() if name.isupper()}


def test_there_are_replies_of_each_class() -> None:
    assert {name[:2] for name in REPLIES} == {"S2", "S4", "S5"}


@pytest.mark.parametrize("name", [*REPLIES, "S550_refused", "S552_refused"])
def test_a_reply_is_named_by_its_code_and_has_an_enhanced_code_of_the_same_class(name: str) -> None:
    reply = REPLIES.get(name) or reply_codes.refused("5.3.4" if name.startswith("S552") else "5.7.1", "It is refused.")
    parts = re.fullmatch(r"(\d{3}) (\d)\.\d{1,3}\.\d{1,3} (.+)", reply)
    assert parts is not None
    assert name.startswith(f"S{parts[1]}_")
    assert parts[1][0] == parts[2], "RFC 3463 2: the class is that of the reply"
    assert parts[3][0].isupper()
    assert reply.isascii() and reply.isprintable()
    assert len(reply) <= 510  # RFC 5321 4.5.3.1.5: 512 octets with the line end
