"""The door: which addresses and messages are let in, with which words the others are refused, and who is counted."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from tests.raw_smtp import NOW, mail
from tidings.communities import confirmations, joining
from tidings.communities.directory import Directory
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer import reply_codes
from tidings.mailer.door import Admitted, Door, Refused
from tidings.mailer.guests import Guesses, Guests, Networks, home
from tidings.settings import Settings, SmtpSettings
from tidings.tokens import Tokens

TOKENS = Tokens(b"k" * 32)
TODAY = NOW.date()
UNKNOWN, ELSEWHERE = reply_codes.S550_NO_SUCH_ADDRESS, reply_codes.S550_RELAY_DENIED

Ask = Callable[..., str]


@pytest.fixture
def door(database: Database) -> Door:
    with database.write() as connection:
        joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW)
        joining.add_community(connection, name="team", title="Team", zone="UTC", domain="mail.example.org", now=NOW)
        joining.add_member(connection, community="pump", email="ana@example.org", role="leader", now=NOW)
        joining.add_member(connection, community="pump", email="li@example.org", now=NOW)
    return Door(Directory(database), TOKENS, Settings())


@pytest.fixture
def ask(door: Door) -> Ask:
    """The purpose of a recipient that is let in, or the reply that refuses it."""

    def asked(address: str, now: datetime = NOW, asker: str = "192.0.2.1") -> str:
        answer = door.recipient(address, now=now, asker=asker)
        return answer.reply if isinstance(answer, Refused) else answer.recipient.purpose

    return asked


# --- recipients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "purpose"),
    [
        ("pump", "post"),
        ("pump+owner", "owner"),
        ("pump-owner", "owner"),
        ("pump+subscribe", "subscribe"),
        ("pump+unsubscribe", "unsubscribe"),
        ("pump+help", "help"),
        ("pump+command", "command"),
        ("pump-request", "command"),
    ],
)
def test_a_community_has_addresses_that_anybody_may_write_to(ask: Ask, local: str, purpose: str) -> None:
    assert ask(f"{local}@lists.example.org") == purpose
    assert ask(f"{local.upper()}@LISTS.example.org.") == purpose


def test_a_community_may_have_a_domain_of_its_own(ask: Ask) -> None:
    assert ask("a%b@mail.example.org") == UNKNOWN
    assert ask("team@mail.example.org") == ask("Team@Mail.Example.Org") == "post"
    assert ask("team@lists.example.org") == UNKNOWN
    assert ask("pump@mail.example.org") == ask("nosuch@mail.example.org") == UNKNOWN
    assert ask("team@example.org") == ask("team@other.mail.example.org") == ELSEWHERE


def test_a_community_is_let_in_as_soon_as_it_is_made(ask: Ask, database: Database) -> None:
    assert ask("seal@lists.example.org") == UNKNOWN
    with database.write() as connection:
        joining.add_community(connection, name="seal", title="Seal", zone="UTC", now=NOW)
    assert ask("seal@lists.example.org") == "post"


# --- tokens ----------------------------------------------------------------------------------------------------------


def late(life: int) -> date:
    return TODAY - timedelta(days=life + 1)


def test_the_token_of_an_item_is_let_in_also_when_it_came_too_late(ask: Ask) -> None:
    assert ask(f"pump+r.{TOKENS.item(1, 2, TODAY)}@lists.example.org") == "reply"
    assert ask(f"pump+r.{TOKENS.item(1, 2, late(365))}@lists.example.org") == "reply", "intake holds it"


def test_the_token_of_a_return_path_is_let_in_for_two_weeks(ask: Ask) -> None:
    assert ask(f"pump+b.{TOKENS.return_path(7, TODAY)}@lists.example.org") == "bounce"
    assert ask(f"pump+b.{TOKENS.return_path(7, late(14))}@lists.example.org") == UNKNOWN


def test_the_token_of_a_confirmation_is_let_in_where_it_was_asked_for(ask: Ask, database: Database) -> None:
    with database.write() as connection:
        token = confirmations.ask(connection, purpose="join", email="sam@example.org", now=NOW)
    assert ask(f"pump+confirm.{token}@lists.example.org") == "confirm"
    assert ask(f"pump+confirm.{token[:-1]}@lists.example.org") == UNKNOWN


@pytest.mark.parametrize("kind", ["r", "b", "confirm"])
def test_a_token_of_another_key_or_kind_and_no_token_are_refused(ask: Ask, kind: str) -> None:
    other = Tokens(b"x" * 32)
    for token in ("", "abc", other.item(1, 2, TODAY), other.return_path(7, TODAY), TOKENS.leave(1)):
        assert ask(f"pump+{kind}.{token}@lists.example.org") == UNKNOWN


def test_tokens_that_expired_are_no_guesses(ask: Ask) -> None:
    for _ in range(30):
        assert ask(f"pump+b.{TOKENS.return_path(7, late(14))}@lists.example.org") == UNKNOWN


def test_wrong_tokens_are_counted_by_who_asks_and_forgotten_after_an_hour(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    spent = reply_codes.S421_TOO_MANY_GUESSES
    good = f"pump+r.{TOKENS.item(1, 2, TODAY)}@lists.example.org"
    kinds = ("r", "b", "confirm")
    assert [ask(f"pump+{kinds[n % 3]}.wrong@lists.example.org") for n in range(19)] == [UNKNOWN] * 19
    assert caplog.text == ""
    assert ask("pump+r.wrong@lists.example.org") == spent
    assert "192.0.2.1 tried too many wrong tokens" in caplog.text
    assert ask(good) == spent
    assert ask("pump@lists.example.org") == "post"
    assert ask(good, asker="192.0.2.2") == "reply"
    assert ask(good, now=NOW + timedelta(minutes=59)) == spent
    assert ask(good, now=NOW + timedelta(hours=1)) == "reply"


def test_the_count_of_guesses_does_not_grow_for_ever() -> None:
    guesses = Guesses(1)
    for number in range(10_001):
        guesses.add(f"guest {number}", NOW)
    assert not guesses.spent("guest 0", NOW)
    assert guesses.spent("guest 1", NOW)
    assert guesses.spent("guest 10000", NOW)


# --- messages --------------------------------------------------------------------------------------------------------


def refusals(door: Door, content: bytes, *addresses: str) -> list[str | None]:
    answers = [door.recipient(f"{one}@lists.example.org", now=NOW, asker="") for one in addresses or ("pump",)]
    return door.message([one for one in answers if isinstance(one, Admitted)], content)


def test_a_refusal_has_the_words_of_the_rule_and_its_enhanced_code(door: Door) -> None:
    (said,) = refusals(door, mail(sender="x@example.org"))
    assert said == (
        "550 5.7.2 Only members may write to pump, and x@example.org is not a member's address. "
        "To join, write to pump+subscribe@lists.example.org; to reach a person, to pump+owner@lists.example.org."
    )
    assert refusals(door, mail()) == [None]


def test_what_goes_to_another_address_than_that_for_posts_is_for_intake_to_decide(door: Door) -> None:
    token = TOKENS.item(1, 2, TODAY)
    others = ("pump+owner", "pump+subscribe", "pump+command", f"pump+r.{token}")
    assert refusals(door, mail(sender="x@example.org"), *others) == [None] * 4


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"From: x@example.org\r\nFrom: y@example.org\r\n",
        b"From: x@example.org, y@example.org\r\n",
        b"From: undisclosed:;\r\n",
        b"From: " + b"(" * 4000 + b"\r\n",
    ],
)
def test_who_cannot_be_read_from_the_header_is_for_intake_to_decide(door: Door, header: bytes) -> None:
    assert refusals(door, header + b"Subject: x\r\n\r\nx\r\n") == [None]


def test_a_from_that_goes_on_over_lines_is_read(door: Door) -> None:
    assert refusals(door, b"FROM\t:\r\n =?utf-8?q?x?=\r\n\t<ANA@example.org>\r\n\r\nx\r\n") == [None]
    assert refusals(door, b"Subject: x\r\n\r\nFrom: x@example.org\r\n") == [None], "the body is not looked at"


def test_a_message_is_measured_against_what_its_community_takes(door: Door, database: Database) -> None:
    with database.write() as connection:
        joining.set_community(connection, "pump", {"max-size": "10 kB"}, NOW)
    at_most = 10_000 - len(mail(body=""))
    assert refusals(door, mail(body="x" * at_most)) == [None]
    (said,) = refusals(door, mail(body="x" * (at_most + 1)))
    assert said is not None
    assert said.startswith("552 5.3.4 It has ")


def test_what_stood_in_the_way_a_moment_ago_refuses_nobody(door: Door, database: Database) -> None:
    admitted = door.recipient("pump@lists.example.org", now=NOW, asker="")
    assert isinstance(admitted, Admitted)
    with database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "open"}, NOW)
    assert door.message([admitted], mail(sender="x@example.org")) == [None]


def test_the_words_of_a_refusal_fit_into_a_reply_line() -> None:
    said = reply_codes.refused("5.7.2", "x@example.org\r\n250 Hello \N{SNOWMAN}" + "x" * 1_000)
    assert said.startswith("550 5.7.2 x@example.org?250 Hello ?x")
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 510


# --- guests ----------------------------------------------------------------------------------------------------------


def test_an_ipv6_network_is_one_place_and_an_ipv4_client_of_an_ipv6_socket_is_what_it_is() -> None:
    assert home("2001:db8::1") == home("2001:db8::ffff:1") != home("2001:db8:0:1::1")
    assert home("::ffff:192.0.2.1") == home("192.0.2.1") == "192.0.2.1"
    assert home("fe80::1%eth0") == home("fe80::2%eth0")
    assert home("") == ""


def test_a_peer_is_in_a_network_or_not() -> None:
    networks = Networks(["192.0.2.0/24", "198.51.100.7", "2001:db8::1/32"], "smtp.trusted")
    assert all(peer in networks for peer in ("192.0.2.9", "::ffff:192.0.2.9", "198.51.100.7", "2001:db8:7::1"))
    assert not any(peer in networks for peer in ("192.0.3.1", "198.51.100.8", "2001:db9::1", "", "localhost"))


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(SettingsError, match=r"smtp.trusted: '192.0.2.0/33' is no address or network; write one like"):
        Networks(["192.0.2.0/33"], "smtp.trusted")


def test_guests_are_counted_in_all_and_by_place() -> None:
    guests = Guests(SmtpSettings(max_connections=4, max_per_address=2, trusted=["192.0.2.1"]))
    for peer in ("2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.1"):
        assert not guests.full
        assert not guests.too_many(peer)
        guests.come(peer)
    assert guests.full
    assert guests.too_many("2001:db8::3")
    assert not guests.too_many("192.0.2.1"), "it is trusted"
    guests.go("2001:db8::1")
    assert not guests.full
    assert not guests.too_many("2001:db8::3")
