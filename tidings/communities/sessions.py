"""Sign-in without a password: links of one use, mailed to an address, and the sessions they open.

It sends no mail and does not ask whether the address belongs to anyone; tokens are kept hashed only.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from tidings.communities.directory import email_key
from tidings.database import tables
from tidings.tokens import hashed, random_token

LINK_LIFE = timedelta(hours=72)
SESSION_LIFE = timedelta(days=30)
_LINKS_A_DAY = 5
_DAY = timedelta(days=1)

_link, _session = tables.sign_in_link.c, tables.session.c


# Built once: it is asked for each page.
_EMAIL = select(_session.email_key).where(
    _session.token_hash == bindparam("token"), _session.created_at > bindparam("oldest")
)


def new_link(connection: Connection, email: str, now: datetime) -> str | None:
    """The token of a new sign-in link for the address, good for 72 hours.

    None where five links of the last day are still unused: whoever asks on, no more mail bombs that address.
    """
    connection.execute(delete(tables.sign_in_link).where(_link.created_at <= now - LINK_LIFE))
    key = email_key(email)
    unused = select(func.count()).where(_link.email_key == key, _link.used_at.is_(None), _link.created_at > now - _DAY)
    if connection.execute(unused).scalar_one() >= _LINKS_A_DAY:
        return None
    token = random_token()
    connection.execute(insert(tables.sign_in_link).values(token_hash=hashed(token), email_key=key, created_at=now))
    return token


def use_link(connection: Connection, token: str, now: datetime) -> str | None:
    """The address (as a look-up key) that the link signs in, this once; None where it is used, too old or not ours."""
    if not token.isascii():
        return None
    used = (
        update(tables.sign_in_link)
        .where(_link.token_hash == hashed(token), _link.used_at.is_(None), _link.created_at > now - LINK_LIFE)
        .values(used_at=now)
        .returning(_link.email_key)
    )
    return connection.execute(used).scalar_one_or_none()


def open_session(connection: Connection, email: str, now: datetime) -> str:
    """The token of a new session of the address, good for 30 days."""
    connection.execute(delete(tables.session).where(_session.created_at <= now - SESSION_LIFE))
    token = random_token()
    connection.execute(
        insert(tables.session).values(token_hash=hashed(token), email_key=email_key(email), created_at=now)
    )
    return token


def session_email(connection: Connection, token: str, now: datetime) -> str | None:
    """The address (as a look-up key) whose session this is; None where it is closed, too old or not ours."""
    if not token.isascii():
        return None
    values = {"token": hashed(token), "oldest": now - SESSION_LIFE}
    return connection.execute(_EMAIL, values).scalar_one_or_none()


def close_session(connection: Connection, token: str) -> None:
    """End the session; one that is not there is ended already."""
    if token.isascii():
        connection.execute(delete(tables.session).where(_session.token_hash == hashed(token)))
