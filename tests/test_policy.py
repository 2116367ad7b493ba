"""What may be posted: each rule alone, and the order in which they are asked."""

from typing import Any

import pytest

from tidings.communities import policy
from tidings.communities.policy import DOOR_RULES, POSTING_RULES, Facts, Verdict, decide


def facts(**changes: Any) -> Facts:
    """A member of a members' community who writes by hand."""
    usual: dict[str, Any] = {
        "community": "pump",
        "posting": "members",
        "archived": False,
        "author_email": "ana@example.org",
        "is_member": True,
    }
    return Facts(**usual | changes)


# What each rule objects to, by its name.
OBJECTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "own_loop": ({"own_loop": True}, "discard", "X-Tidings-Loop"),
    "community_archived": ({"archived": True}, "reject", "pump is closed"),
    "written_by_a_program": (
        {"automatic": "Auto-Submitted: auto-replied"},
        "hold",
        "An automatic mail (Auto-Submitted: auto-replied).",
    ),
    "without_an_author": ({"author_email": ""}, "hold", "no From address"),
    "not_a_member": ({"is_member": False}, "reject", "ana@example.org is not a member's address"),
}


def test_every_rule_is_tried_below() -> None:
    assert [rule.__name__ for rule in POSTING_RULES] == list(OBJECTS)
    assert set(DOOR_RULES) <= set(POSTING_RULES)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_rule_alone_objects_to_its_own_matter_and_to_no_other(name: str) -> None:
    rule = getattr(policy, name)
    changes, kind, reason = OBJECTS[name]
    objection = rule(facts(**changes))
    assert objection is not None
    assert objection.kind == kind
    assert reason in objection.reason
    for other, (changes, _, _) in OBJECTS.items():
        if other != name:
            assert rule(facts(**changes)) is None, other
    assert rule(facts()) is None


def test_a_sentence_is_given_for_every_decision() -> None:
    found = [decide(facts()), decide(facts(posting="open", is_member=False))]
    found += [decide(facts(**changes)) for changes, _, _ in OBJECTS.values()]
    for verdict in found:
        assert verdict.reason[0].isupper()
        assert verdict.reason.endswith((".", ")."))
        assert len(verdict.reason) < 200


def test_a_member_and_anybody_in_an_open_community_may_post() -> None:
    assert decide(facts()) == Verdict(kind="accept", reason="From a member.")
    stranger = facts(posting="open", is_member=False, author_email="stranger@example.org")
    assert decide(stranger) == Verdict(kind="accept", reason="The community is open to all.")


def test_the_first_rule_that_objects_decides() -> None:
    """With everything wrong at once, taking the matters away one by one shows the order of the tuple."""
    wrong = {key: value for changes, _, _ in OBJECTS.values() for key, value in changes.items()}
    for changes, kind, reason in OBJECTS.values():
        verdict = decide(facts(**wrong))
        assert verdict.kind == kind
        assert reason.replace("ana@example.org", "") in verdict.reason
        for key in changes:
            del wrong[key]
    assert decide(facts(**wrong)).kind == "accept"


def test_a_loop_is_dropped_even_where_the_community_is_closed() -> None:
    assert decide(facts(own_loop=True, archived=True, is_member=False)).kind == "discard"


def test_an_automatic_mail_of_a_stranger_is_held_and_not_answered_with_a_refusal() -> None:
    assert decide(facts(automatic="null return path", is_member=False)).kind == "hold"


def test_a_message_without_an_author_is_held_in_an_open_community_too() -> None:
    assert decide(facts(posting="open", is_member=False, author_email="undisclosed")).kind == "hold"


def test_the_door_refuses_only_what_can_be_told_from_the_header() -> None:
    assert [rule.__name__ for rule in DOOR_RULES] == ["community_archived", "not_a_member"]
    assert decide(facts(automatic="Precedence: bulk", own_loop=True), DOOR_RULES).kind == "accept"
    assert decide(facts(is_member=False), DOOR_RULES).kind == "reject"
    assert decide(facts(archived=True), DOOR_RULES).kind == "reject"
