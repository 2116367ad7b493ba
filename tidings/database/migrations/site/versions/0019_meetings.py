"""meetings: series and their sessions, agendas, roles, who comes, and what minutes say

Revision: 0019, after 0018
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("id", _ID, nullable=False),
        sa.Column("community_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("rhythm", sa.Text(), nullable=False),
        sa.Column("first_day", sa.String(length=10), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("blocks", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("notice", sa.Integer(), nullable=False),
        sa.Column("plan_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_series_community_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("community_id", "name", name=op.f("uq_series_community_id_name")),
    )
    op.create_index("ix_series_plan", "series", ["plan_at"], **_where("ended_at IS NULL"))
    op.create_index("ix_membership_joined", "membership", ["community_id", "joined_at"])
    op.create_table(
        "meeting",
        sa.Column("id", _ID, nullable=False),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("invites_at", sa.BigInteger(), nullable=False),
        sa.Column("invited_at", sa.BigInteger(), nullable=True),
        sa.Column("input_until", sa.BigInteger(), nullable=False),
        sa.Column("final_at", sa.BigInteger(), nullable=True),
        sa.Column("closes_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_meeting_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meeting")),
        sa.UniqueConstraint("series_id", "day", name=op.f("uq_meeting_series_id_day")),
        sa.UniqueConstraint("series_id", "number", name=op.f("uq_meeting_series_id_number")),
    )
    op.create_index(
        "ix_meeting_open",
        "meeting",
        ["closes_at"],
        **_where("closed_at IS NULL"),
    )

    op.create_table(
        "series_session",
        sa.Column("id", _ID, nullable=False),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("starts", sa.String(length=5), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_series_session_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series_session")),
        sa.UniqueConstraint("series_id", "position", name=op.f("uq_series_session_series_id_position")),
    )
    op.create_table(
        "session_crew",
        sa.Column("session_id", _ID, nullable=False),
        sa.Column("crew_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["crew_id"], ["crew.id"], name=op.f("fk_session_crew_crew_id")),
        sa.ForeignKeyConstraint(["session_id"], ["series_session.id"], name=op.f("fk_session_crew_session_id")),
        sa.UniqueConstraint("session_id", "crew_id", name=op.f("uq_session_crew_session_id_crew_id")),
    )
    op.create_table(
        "sitting",
        sa.Column("id", _ID, nullable=False),
        sa.Column("meeting_id", _ID, nullable=False),
        sa.Column("session_id", _ID, nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_sitting_meeting_id")),
        sa.ForeignKeyConstraint(["session_id"], ["series_session.id"], name=op.f("fk_sitting_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sitting")),
        sa.UniqueConstraint("meeting_id", "session_id", name=op.f("uq_sitting_meeting_id_session_id")),
    )
    op.create_table(
        "attendance",
        sa.Column("id", _ID, nullable=False),
        sa.Column("meeting_id", _ID, nullable=False),
        sa.Column("sitting_id", _ID, nullable=True),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("answer", sa.String(length=12), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("for_key", sa.String(length=320), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_attendance_meeting_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_attendance_person_id")),
        sa.ForeignKeyConstraint(["sitting_id"], ["sitting.id"], name=op.f("fk_attendance_sitting_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attendance")),
        sa.UniqueConstraint("meeting_id", "email_key", name=op.f("uq_attendance_meeting_id_email_key")),
    )
    op.create_index(op.f("ix_attendance_person_id"), "attendance", ["person_id"])

    op.create_table(
        "duty",
        sa.Column("id", _ID, nullable=False),
        sa.Column("meeting_id", _ID, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("remind_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_duty_meeting_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_duty_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duty")),
        sa.UniqueConstraint("meeting_id", "role", "person_id", name=op.f("uq_duty_meeting_id_role_person_id")),
    )
    op.create_index(op.f("ix_duty_person_id"), "duty", ["person_id"])
    op.create_index("ix_duty_remind", "duty", ["remind_at"], **_where("remind_at IS NOT NULL"))

    op.create_table(
        "topic",
        sa.Column("id", _ID, nullable=False),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("meeting_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("lead_id", _ID, nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("carried", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["person.id"], name=op.f("fk_topic_lead_id")),
        sa.ForeignKeyConstraint(["meeting_id"], ["meeting.id"], name=op.f("fk_topic_meeting_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_topic_person_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_topic_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topic")),
        sa.UniqueConstraint("series_id", "message_id", name=op.f("uq_topic_series_id_message_id")),
    )
    op.create_index(op.f("ix_topic_meeting_id"), "topic", ["meeting_id"])

    op.create_table(
        "willing",
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_willing_person_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_willing_series_id")),
        sa.UniqueConstraint("series_id", "person_id", "role", name=op.f("uq_willing_series_id_person_id_role")),
    )
    op.create_table(
        "topic_second",
        sa.Column("topic_id", _ID, nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_topic_second_person_id")),
        sa.ForeignKeyConstraint(["topic_id"], ["topic.id"], name=op.f("fk_topic_second_topic_id")),
        sa.UniqueConstraint("topic_id", "person_id", name=op.f("uq_topic_second_topic_id_person_id")),
    )
    op.create_table(
        "feed_token",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("membership_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["membership_id"], ["membership.id"], name=op.f("fk_feed_token_membership_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_feed_token")),
    )
    op.create_index(op.f("ix_feed_token_membership_id"), "feed_token", ["membership_id"])

    with op.batch_alter_table("card") as card:
        card.add_column(sa.Column("position", sa.Integer(), server_default="0", nullable=False))
        card.add_column(sa.Column("meeting_id", _ID, nullable=True))
        card.add_column(sa.Column("topic_id", _ID, nullable=True))
        card.add_column(sa.Column("owner_id", _ID, nullable=True))
        card.add_column(sa.Column("due_on", sa.String(length=10), nullable=True))
        card.add_column(sa.Column("done_at", sa.BigInteger(), nullable=True))
        card.add_column(sa.Column("remind_at", sa.BigInteger(), nullable=True))
        card.drop_constraint(op.f("uq_card_post_id_kind"), type_="unique")
        card.create_index(op.f("ix_card_meeting_id"), ["meeting_id"])
        card.create_index(op.f("ix_card_owner_id"), ["owner_id"])
        card.create_index(op.f("ix_card_topic_id"), ["topic_id"])
        card.create_unique_constraint(op.f("uq_card_post_id_kind_position"), ["post_id", "kind", "position"])
        card.create_foreign_key(op.f("fk_card_owner_id"), "person", ["owner_id"], ["id"])
        card.create_foreign_key(op.f("fk_card_topic_id"), "topic", ["topic_id"], ["id"])
        card.create_foreign_key(op.f("fk_card_meeting_id"), "meeting", ["meeting_id"], ["id"])
    op.create_index("ix_card_remind", "card", ["remind_at"], **_where("remind_at IS NOT NULL"))

    with op.batch_alter_table("period") as period:
        period.add_column(sa.Column("meeting_id", _ID, nullable=True))
        period.create_index(op.f("ix_period_meeting_id"), ["meeting_id"])
        period.create_foreign_key(op.f("fk_period_meeting_id"), "meeting", ["meeting_id"], ["id"])
    op.add_column("item", sa.Column("about_id", _ID, nullable=True))
    _take_over(op.get_bind())
    for column in ("meeting_weekday", "meeting_time", "meeting_place"):
        op.drop_column("community", column)


def _take_over(connection: sa.Connection) -> None:
    """The meeting that was a setting of a community becomes a series of an hour a week."""
    found = connection.execute(
        sa.text(
            "SELECT id, title, zone, meeting_weekday, meeting_time, meeting_place, created_at FROM community"
            " WHERE meeting_weekday IS NOT NULL AND meeting_time IS NOT NULL"
        )
    )
    for community_id, title, zone, weekday, starts, place, created_at in found.all():
        values = {
            "community": community_id,
            "title": title,
            "zone": zone,
            "day": _first_day(created_at, weekday).isoformat(),
            "place": place or "",
            "now": created_at,
        }
        series_id = connection.execute(
            sa.text(
                "INSERT INTO series (community_id, name, title, rhythm, first_day, zone, format, blocks, place, notice,"
                " plan_at, created_at) VALUES (:community, 'weekly', :title, 'FREQ=WEEKLY', :day, :zone, 'hour', '', :place,"
                " 18, :now, :now) RETURNING id"
            ),
            values,
        ).scalar_one()
        session = (
            "INSERT INTO series_session (series_id, position, day, starts, place) VALUES (:series, 0, 0, :starts, '')"
        )
        connection.execute(sa.text(session), {"series": series_id, "starts": starts})


def _first_day(created_at: int, weekday: int) -> date:
    """The first such weekday from the day of a moment on (microseconds since 1970 in UTC)."""
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=created_at)).date()
    return day + timedelta(days=(weekday - day.weekday()) % 7)
