"""summaries by a model: what it wrote of conversations, and of which periods it was asked

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "summary",
        sa.Column("community_id", _ID, nullable=False),
        sa.Column("posts_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_summary_community_id")),
        sa.PrimaryKeyConstraint("community_id", "posts_hash", name=op.f("pk_summary")),
    )
    op.create_table(
        "summary_turn",
        sa.Column("period_id", _ID, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_summary_turn_period_id")),
        sa.PrimaryKeyConstraint("period_id", name=op.f("pk_summary_turn")),
    )
