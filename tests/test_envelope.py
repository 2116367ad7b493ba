"""Whom a fetched message is for, by its header alone."""

import time
from typing import Any

import pytest

from tests.fetching import knows, mailbox, post_address
from tidings.mailer.envelope import Envelope, Postbox

PUMP, OPEN = "pump@lists.example.org", "open@lists.example.org"
REPLY, OTHER_REPLY = "pump+r.k3dq7x@lists.example.org", "pump+r.zzzzzz@lists.example.org"
BAD = "pump+r.bad@lists.example.org"


def read(*fields: str, **settings: Any) -> Envelope:
    postbox = Postbox(settings=mailbox(1, **settings), knows=knows, post_address=post_address)
    return postbox.read(
        "".join(field + "\r\n" for field in fields).encode("utf-8", "surrogateescape") + b"\r\nText\r\n"
    )


# --- without a community of its own -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        (["To: " + PUMP], [PUMP]),
        (["To: Pump <PUMP@Lists.Example.ORG>"], [PUMP]),
        (["To: ana@example.org", "Cc: x@example.org, " + PUMP], [PUMP]),
        (["Delivered-To: " + PUMP, "To: everybody@example.org"], [PUMP]),
        (["X-Original-To: " + PUMP, "To: everybody@example.org"], [PUMP]),
        # Where the server says which it was, the others have copies of their own.
        (["Delivered-To: " + OPEN, "To: " + PUMP + ", " + OPEN], [OPEN]),
        (["X-Original-To: " + PUMP, "Delivered-To: " + OPEN, "To: " + PUMP], [OPEN]),
        (["To: " + PUMP + ", " + OPEN, "Cc: " + PUMP], [PUMP, OPEN]),
        (["To: " + PUMP, "To: " + OPEN], [PUMP, OPEN]),
        # A detail says more than the name alone, which some servers tell in its place.
        (["To: " + REPLY, "Cc: " + PUMP], [REPLY]),
        (["To: " + REPLY + ", " + OTHER_REPLY], [REPLY, OTHER_REPLY]),
        (["To: " + REPLY + ", " + OPEN], [REPLY, OPEN]),
        (["Delivered-To: " + PUMP, "To: " + REPLY], [REPLY]),
        (["Delivered-To: " + PUMP, "To: " + OPEN + ", " + REPLY], [REPLY]),
        (["Delivered-To: " + REPLY, "To: " + OTHER_REPLY + ", " + PUMP], [REPLY]),
        (["Delivered-To: mailbox@example.org", "To: " + REPLY], [REPLY]),
        # A wrong token is nobody's, while the rest of the message is somebody's.
        (["To: " + BAD + ", " + PUMP], [PUMP]),
    ],
)
def test_the_header_says_whom_it_is_for(fields: list[str], recipients: list[str]) -> None:
    assert (list(read(*fields).recipients), read(*fields).reason) == (recipients, "")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["To: someone@example.org"], "None of the addresses"),
        (["Subject: x"], "None of the addresses"),
        (["To: undisclosed-recipients:;"], "None of the addresses"),
        (["To: pump@elsewhere.example.org"], "None of the addresses"),
        (["To: pump+nosuch@lists.example.org"], "None of the addresses"),
        (["To: nosuch+r.abc@lists.example.org"], "None of the addresses"),
        (['To: "pump@lists.example.org" <x@example.org>'], "None of the addresses"),
        (["To: " + BAD], BAD + ", whose token is not one of ours"),
        (["Delivered-To: " + BAD.upper(), "To: x@example.org"], BAD + ", whose token is not one of ours"),
    ],
)
def test_what_is_for_nobody_waits_with_the_reason(fields: list[str], reason: str) -> None:
    assert read(*fields).recipients == ()
    assert reason in read(*fields).reason


def test_other_fields_may_say_whom_it_was_delivered_to() -> None:
    fields = ("Envelope-To: " + REPLY, "Delivered-To: " + OPEN)
    assert read(*fields, recipient_headers=["envelope-to"]).recipients == (REPLY,)
    assert read(*fields).recipients == (OPEN,)


# --- with one ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "recipients"),
    [
        (["To: " + PUMP], [PUMP]),
        (["To: someone@example.org"], [PUMP]),
        (["Subject: no recipient at all"], [PUMP]),
        (["To: " + OPEN], [PUMP]),
        (["To: pump+nosuch@lists.example.org"], [PUMP]),
        (["To: " + REPLY], [REPLY]),
        (["Delivered-To: mailbox@example.org", "To: x@example.org", "Cc: " + REPLY + ", " + PUMP], [REPLY]),
        (["Delivered-To: " + PUMP, "To: " + REPLY], [REPLY]),
        (["To: " + BAD + ", " + PUMP], [PUMP]),
    ],
)
def test_the_mail_of_a_community_s_mailbox_is_for_it(fields: list[str], recipients: list[str]) -> None:
    found = read(*fields, community="pump")
    assert (list(found.recipients), found.reason) == (recipients, "")


def test_a_wrong_token_makes_no_post_of_a_reply() -> None:
    found = read("To: " + BAD, community="pump")
    assert (found.recipients, found.reason != "") == ((), True)


def test_a_community_that_is_not_there_yet_lets_its_mail_wait() -> None:
    found = read("To: x@example.org", community="later")
    assert found.recipients == ()
    assert found.reason == "The mailbox's mail is for later, and there is no such community."


# --- the sender -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sender"),
    [
        (["Return-Path: <b@example.org>", "From: a@example.org"], "b@example.org"),
        (["Return-Path: b@example.org", "From: a@example.org"], "b@example.org"),
        (["Return-Path: <>", "From: mailer-daemon@example.org"], ""),
        (["Return-Path: <b@example.org>", "Return-Path: <c@example.org>"], "b@example.org"),
        (["Return-Path: <MAILER-DAEMON>", "From: a@example.org"], "a@example.org"),
        (["Return-Path: <b@example.org\t\x07>", "From: a@example.org"], "a@example.org"),
        (["Return-Path: <" + "b" * 300 + "@example.org>", "From: a@example.org"], "a@example.org"),
        (["From: Ana <a@example.org>"], "a@example.org"),
        (["Subject : none", "From\t: Ana <a@example.org>"], "a@example.org"),
        (["From: Ana"], ""),
        (["Subject: none"], ""),
        (["From: \udcff@example.org"], ""),
        (["From: " + '"' * 100_000], ""),
        (["From: " + "(" * 100_000], ""),
    ],
)
def test_the_sender_is_the_return_path_or_else_the_author(fields: list[str], sender: str) -> None:
    assert read(*fields).mail_from == sender


def test_what_is_held_shows_its_subject_and_author() -> None:
    found = read("From: Ana <a@example.org>", "Subject: =?utf-8?q?P=C3=A4ckchen?=", "Message-ID: <1@example.org>")
    assert (found.subject, found.author, found.message_id) == ("Päckchen", "a@example.org", "1@example.org")


# --- hostile headers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        "To: " + ", ".join(f"x{number}@example.org" for number in range(20_000)),
        "To: " + '"' * 200_000,
        "To: " + "(" * 200_000,
        "To: " + "<" * 200_000,
        "To: " + "a@" * 100_000,
        "\r\n".join("To: x@example.org" for _ in range(20_000)),
        "\r\n".join("Delivered-To: " + BAD for _ in range(20_000)),
        "Subject: " + "=?utf-8?q?x?= " * 20_000,
        "x" * 1_000_000,
        "\0" * 100_000,
    ],
    ids=range(10),
)
def test_a_hostile_header_costs_little(field: str) -> None:
    began = time.process_time()
    found = read(field, "Cc: " + PUMP)
    assert time.process_time() - began < 1
    assert found.recipients in ((), (PUMP,))


def test_a_message_without_an_end_of_its_header_is_read_too() -> None:
    postbox = Postbox(settings=mailbox(1), knows=knows, post_address=post_address)
    assert postbox.read(b"To: " + PUMP.encode()).recipients == (PUMP,)
    assert postbox.read(b"").recipients == ()
    assert postbox.read(b"\r\n\r\nTo: " + PUMP.encode()).recipients == ()
