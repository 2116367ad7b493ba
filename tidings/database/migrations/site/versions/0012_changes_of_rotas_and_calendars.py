"""changes of rotas and calendars: holidays, leave, swaps and part-time; shifts read from iCalendar files and feeds

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "rota_change",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rota_id", _ID, nullable=True),
        sa.Column("crew_id", _ID, nullable=True),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("first_day", sa.String(length=10), nullable=False),
        sa.Column("last_day", sa.String(length=10), nullable=True),
        sa.Column("days", sa.Text(), nullable=False),
        sa.Column("only", sa.String(length=26), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rota_id"], ["rota.id"], name=op.f("fk_rota_change_rota_id")),
        sa.ForeignKeyConstraint(["crew_id"], ["crew.id"], name=op.f("fk_rota_change_crew_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_rota_change_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rota_change")),
    )
    for column in ("rota_id", "crew_id", "person_id"):
        op.create_index(op.f(f"ix_rota_change_{column}"), "rota_change", [column])
    op.create_table(
        "calendar",
        sa.Column("id", _ID, nullable=False),
        sa.Column("pattern_id", _ID, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["pattern_id"], ["rota_pattern.id"], name=op.f("fk_calendar_pattern_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar")),
        sa.UniqueConstraint("pattern_id", name=op.f("uq_calendar_pattern_id")),
    )
    op.create_table(
        "calendar_shift",
        sa.Column("calendar_id", _ID, nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendar.id"], name=op.f("fk_calendar_shift_calendar_id")),
    )
    op.create_index(op.f("ix_calendar_shift_calendar_id"), "calendar_shift", ["calendar_id"])
