"""Sign-in links work once and for 72 hours, sessions for 30 days, and neither is kept readable."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tidings.communities import sessions
from tidings.database import tables
from tidings.database.engine import Database
from tidings.tokens import random_token

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


def link(database: Database, email: str = "ana@example.org", now: datetime = NOW) -> str:
    with database.write() as connection:
        token = sessions.new_link(connection, email, now)
    assert token is not None
    return token


def use(database: Database, token: str, now: datetime = NOW) -> str | None:
    with database.write() as connection:
        return sessions.use_link(connection, token, now)


def test_a_link_signs_in_its_address_once(database: Database) -> None:
    token = link(database, "Ana@Example.org")
    assert use(database, token) == "ana@example.org"
    assert use(database, token) is None


def test_a_link_works_for_72_hours(database: Database) -> None:
    in_time, too_late = link(database), link(database)
    assert use(database, in_time, NOW + 72 * HOUR - SECOND) == "ana@example.org"
    assert use(database, too_late, NOW + 72 * HOUR) is None


def test_of_two_who_use_a_link_at_once_one_is_signed_in(database: Database) -> None:
    token, answers = link(database), []
    threads = [threading.Thread(target=lambda: answers.append(use(database, token))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == [None, None, None, "ana@example.org"]


def test_a_link_comes_back_in_any_case(database: Database) -> None:
    assert use(database, link(database).upper()) == "ana@example.org"


@pytest.mark.parametrize("token", ["", "x", "ä\udc80", "\0", pytest.param(random_token(), id="of nobody")])
def test_what_is_no_token_of_ours_signs_nobody_in(database: Database, token: str) -> None:
    link(database)
    with database.write() as connection:
        sessions.open_session(connection, "ana@example.org", NOW)
        assert sessions.use_link(connection, token, NOW) is None
        assert sessions.session_email(connection, token, NOW) is None
        sessions.close_session(connection, token)


def test_an_address_gets_five_links_a_day_until_one_is_used(database: Database) -> None:
    first, *_ = [link(database, now=NOW + n * SECOND) for n in range(5)]
    with database.write() as connection:
        assert sessions.new_link(connection, "ANA@example.org ", NOW + HOUR) is None
        assert sessions.new_link(connection, "raj@example.org", NOW + HOUR) is not None
    use(database, first, NOW + HOUR)
    link(database, now=NOW + HOUR)
    with database.write() as connection:
        assert sessions.new_link(connection, "ana@example.org", NOW + HOUR) is None
    assert link(database, now=NOW + DAY + 4 * SECOND)


def test_a_session_lasts_30_days(database: Database) -> None:
    with database.write() as connection:
        token = sessions.open_session(connection, "Ana@example.org", NOW)
    with database.read() as connection:
        assert sessions.session_email(connection, token, NOW + 30 * DAY - SECOND) == "ana@example.org"
        assert sessions.session_email(connection, token, NOW + 30 * DAY) is None


def test_signing_out_ends_that_session_and_no_other(database: Database) -> None:
    with database.write() as connection:
        here, there = (sessions.open_session(connection, "ana@example.org", NOW) for _ in range(2))
        sessions.close_session(connection, here)
        sessions.close_session(connection, here)
        assert sessions.session_email(connection, here, NOW) is None
        assert sessions.session_email(connection, there, NOW) == "ana@example.org"


def test_a_link_is_no_session_and_a_session_no_link(database: Database) -> None:
    with database.write() as connection:
        signing_in = sessions.new_link(connection, "ana@example.org", NOW)
        session = sessions.open_session(connection, "ana@example.org", NOW)
        assert signing_in is not None
        assert sessions.session_email(connection, signing_in, NOW) is None
        assert sessions.use_link(connection, session, NOW) is None


def test_tokens_have_128_bits_and_only_their_hashes_are_kept(database: Database) -> None:
    signing_in = link(database)
    with database.write() as connection:
        session = sessions.open_session(connection, "ana@example.org", NOW)
        for token, table in ((signing_in, tables.sign_in_link), (session, tables.session)):
            [row] = connection.execute(select(table))
            assert len(token) == 26  # 128 bits, five a character
            assert len(row.token_hash) == 32
            assert token not in repr(row)


def test_what_is_too_old_is_deleted_when_the_next_is_made(database: Database) -> None:
    link(database)
    with database.write() as connection:
        sessions.open_session(connection, "ana@example.org", NOW)
        later = NOW + 31 * DAY
        sessions.new_link(connection, "raj@example.org", later)
        sessions.open_session(connection, "raj@example.org", later)
        for table in (tables.sign_in_link, tables.session):
            assert connection.execute(select(table.c.email_key)).scalars().all() == ["raj@example.org"]
