"""What a moderator said of an address once and for all: the only writer of `sender_rule`.

It decides nothing: `directory.sender` reads the rules, and policy says what they mean.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from tidings.communities.directory import email_key
from tidings.database.tables import sender_rule

Rule = Literal["allow", "ban"]
RULES: tuple[Rule, ...] = ("allow", "ban")


@dataclass(frozen=True, kw_only=True)
class SenderRule:
    """An address whose mail to a community is always let pass, or always refused."""

    email: str
    rule: Rule
    created_at: datetime


def set_rule(connection: Connection, community_id: int, email: str, rule: Rule, now: datetime) -> None:
    """Allow or ban an address in a community, whatever was said of it before."""
    values = {"community": community_id, "email": email_key(email), "said": rule, "at": now}
    connection.execute(_SET[connection.dialect.name], values)


def forget_rule(connection: Connection, community_id: int, email: str) -> bool:
    """Whether something was said of the address; now nothing is."""
    found = sender_rule.c.community_id == community_id, sender_rule.c.email_key == email_key(email)
    return connection.execute(delete(sender_rule).where(*found).returning(sender_rule.c.rule)).first() is not None


def rules(connection: Connection, community_id: int) -> list[SenderRule]:
    """All that was said of addresses in a community, by address."""
    query = (
        select(sender_rule.c.email_key, sender_rule.c.rule, sender_rule.c.created_at)
        .where(sender_rule.c.community_id == community_id)
        .order_by(sender_rule.c.email_key)
    )
    return [SenderRule(email=email, rule=rule, created_at=at) for email, rule, at in connection.execute(query)]


def _set(dialect: str) -> Insert:
    inserted = (postgresql if dialect == "postgresql" else sqlite).insert(sender_rule)
    values = inserted.values(
        community_id=bindparam("community"),
        email_key=bindparam("email"),
        rule=bindparam("said"),
        created_at=bindparam("at"),
    )
    upsert: Insert = values.on_conflict_do_update(
        index_elements=["community_id", "email_key"],
        set_={"rule": values.excluded.rule, "created_at": values.excluded.created_at},
    )
    return upsert


_SET = {dialect: _set(dialect) for dialect in ("sqlite", "postgresql")}
