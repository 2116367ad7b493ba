"""What a domain asks of receivers: its own policy, or that of a domain above it; looked up once an hour."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.signing import MadeUpDns
from tidings.clock import FixedClock
from tidings.mailer.dmarc import Policies, policy

NOW = datetime(2026, 10, 14, 7, 0, tzinfo=UTC)


def made(**records: str) -> MadeUpDns:
    """A DNS with DMARC records; `_` in a name stands for a dot."""
    return MadeUpDns({f"_dmarc.{name.replace('_', '.')}": [text.encode()] for name, text in records.items()})


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DMARC1; p=reject", "reject"),
        ("v=DMARC1;p=quarantine;rua=mailto:x@example.org", "quarantine"),
        ("v=DMARC1; P = Reject ", "reject"),
        ("v=DMARC1; p=none", "none"),
        ("v=DMARC1; p=nonsense", "none"),
        ("v=DMARC1", "none"),
        ("v=DMARC12; p=reject", "none"),
        ("p=reject; v=DMARC1", "none"),  # the version stands first
        ("v=spf1 -all", "none"),
    ],
)
def test_a_domain_says_its_policy(record: str, expected: str) -> None:
    assert policy("example.org", made(example_org=record)) == expected


def test_a_domain_without_one_has_that_of_the_domain_above_it() -> None:
    dns = made(example_org="v=DMARC1; p=none; sp=reject")
    assert policy("example.org", dns) == "none"
    assert policy("crew.plant.example.org", dns) == "reject"
    assert policy("Crew.Example.org.", made(example_org="v=DMARC1; p=quarantine")) == "quarantine"
    own = made(crew_example_org="v=DMARC1; p=none", example_org="v=DMARC1; p=reject")
    assert policy("crew.example.org", own) == "none"


def test_two_records_are_none_and_the_top_level_is_never_asked() -> None:
    dns = MadeUpDns({"_dmarc.example.org": [b"v=DMARC1; p=reject"] * 2})
    assert policy("example.org", dns) == "none"
    assert dns.asked == ["_dmarc.example.org"]


def test_a_name_of_many_labels_costs_few_questions() -> None:
    dns = MadeUpDns()
    assert policy("a." * 100 + "example.org", dns) == "none"
    assert len(dns.asked) <= 8


def test_a_policy_is_remembered_for_an_hour() -> None:
    dns, clock = made(example_org="v=DMARC1; p=reject"), FixedClock(NOW)
    policies = Policies(dns, clock)
    assert [policies.is_strict("example.org") for _ in range(3)] == [True] * 3
    assert len(dns.asked) == 1
    dns.records.clear()
    clock.set(NOW + timedelta(hours=1))
    assert not policies.is_strict("example.org")


def test_where_the_dns_does_not_answer_the_policy_is_taken_for_strict_and_asked_again_soon() -> None:
    dns, clock = MadeUpDns(silent={"_dmarc.example.org"}), FixedClock(NOW)
    policies = Policies(dns, clock)
    assert policies.is_strict("example.org")
    dns.silent.clear()
    clock.set(NOW + timedelta(minutes=5))
    assert not policies.is_strict("example.org")
