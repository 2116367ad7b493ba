"""What a moderator said of an address: kept once, read for every address of a person, and seen at the door at once."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.small_site import ANA, Program, SmallSite, makings, small_site
from tidings.communities import directory, joining, senders
from tidings.communities.directory import Directory, Sender
from tidings.communities.senders import SenderRule
from tidings.database.engine import Database

FIXTURES = (makings, small_site)
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SPAM = "spam@example.org"


@pytest.fixture
def pump(database: Database) -> int:
    """The id of a community with Ana in it, on each engine in turn."""
    with database.write() as connection:
        made = joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW)
        joining.add_member(connection, community="pump", email=ANA, now=NOW)
        return made.id


def say(database: Database, community_id: int, email: str, rule: senders.Rule, at: datetime = NOW) -> None:
    with database.write() as connection:
        senders.set_rule(connection, community_id, email, rule, at)


def sender(database: Database, community_id: int, email: str) -> Sender:
    with database.read() as connection:
        return directory.sender(connection, community_id, email)


def test_what_was_said_last_of_an_address_holds(database: Database, pump: int) -> None:
    say(database, pump, "Spam@Example.org", "allow")
    say(database, pump, SPAM, "ban", NOW + timedelta(days=1))
    with database.read() as connection:
        assert senders.rules(connection, pump) == [
            SenderRule(email=SPAM, rule="ban", created_at=NOW + timedelta(days=1))
        ]
    assert sender(database, pump, "SPAM@example.org") == Sender(rule="ban")


def test_what_was_said_can_be_taken_back(database: Database, pump: int) -> None:
    say(database, pump, SPAM, "ban")
    with database.write() as connection:
        assert senders.forget_rule(connection, pump, SPAM)
        assert not senders.forget_rule(connection, pump, SPAM)
    assert sender(database, pump, SPAM) == Sender()


def test_a_rule_is_of_one_community(database: Database, pump: int) -> None:
    with database.write() as connection:
        other = joining.add_community(connection, name="valves", title="Valves", zone="UTC", now=NOW)
    say(database, pump, SPAM, "ban")
    assert sender(database, other.id, SPAM) == Sender()
    with database.read() as connection:
        assert senders.rules(connection, other.id) == []


def test_a_member_is_a_sender_with_a_role(database: Database, pump: int) -> None:
    found = sender(database, pump, " ANA@example.org")
    assert (found.role, found.rule, found.held_posts) == ("member", "", 0)
    say(database, pump, ANA, "ban")
    assert sender(database, pump, ANA) == Sender(membership_id=found.membership_id, role="member", rule="ban")


def test_who_is_banned_is_banned_under_every_address_of_theirs(database: Database, pump: int) -> None:
    with database.write() as connection:
        ana = directory.member_by_address(connection, pump, ANA)
        assert ana is not None
        joining.add_address(connection, person_id=ana.person_id, email="ana@home.example.org")
    say(database, pump, "ana@home.example.org", "ban")
    say(database, pump, ANA, "allow")
    assert sender(database, pump, ANA).rule == "ban", "a ban goes before an allowance"
    assert sender(database, pump, "ana@home.example.org").rule == "ban"
    assert sender(database, pump, "li@example.org").rule == ""


def test_the_door_hears_of_a_ban_and_of_its_end_at_once(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW).id
        joining.add_member(connection, community="pump", email=ANA, now=NOW)
    communities = Directory(sqlite_database)

    def at_the_door(email: str) -> Sender:
        communities.find("pump")  # what RCPT asks first
        return communities.sender(pump, email)

    assert at_the_door(ANA).rule == ""
    say(sqlite_database, pump, ANA, "ban")
    assert at_the_door(ANA).rule == "ban"
    with sqlite_database.write() as connection:
        senders.forget_rule(connection, pump, ANA)
    assert at_the_door(ANA).rule == ""
    assert at_the_door(SPAM) == Sender()
    say(sqlite_database, pump, SPAM, "allow")
    assert at_the_door(SPAM).rule == "allow"


@pytest.mark.needs("postgres")
def test_on_postgresql_a_refusal_is_never_older_than_the_ban_is_lifted(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        pump = joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW).id
        joining.add_member(connection, community="pump", email=ANA, now=NOW)
    say(postgres_database, pump, ANA, "ban")
    communities = Directory(postgres_database, monotonic=lambda: 0.0)  # all that is kept stays fresh
    communities.find("pump")
    assert communities.sender(pump, ANA).rule == "ban"
    with postgres_database.write() as connection:
        senders.forget_rule(connection, pump, ANA)
    assert communities.sender(pump, ANA).rule == ""


def test_an_admin_sees_and_changes_what_was_said(small_site: SmallSite) -> None:
    folder = small_site.site.settings.site.data_dir
    config = small_site.site.settings.path("tidings.toml")
    config.write_text("", encoding="utf-8")
    assert str(config).startswith(folder)
    tidings = Program(config)
    assert tidings("community", "senders", "pump").text == "Nothing was said of anybody.\n"
    assert tidings("community", "sender", "pump", SPAM, "ban").out == b""
    tidings("community", "sender", "pump", ANA, "allow")
    (allowed, banned) = tidings("community", "senders", "pump", "--json").lines
    assert (allowed["email"], allowed["rule"], banned["email"], banned["rule"]) == (ANA, "allow", SPAM, "ban")
    assert tidings("community", "sender", "pump", SPAM, "none", "--json").json == {"email": SPAM, "rule": "none"}
    assert [line["email"] for line in tidings("community", "senders", "pump", "--json").lines] == [ANA]
    assert "There is no rule 'block'" in tidings("community", "sender", "pump", SPAM, "block", status=2).err
    assert "There is no community 'nix'" in tidings("community", "sender", "nix", SPAM, "ban", status=1).err
