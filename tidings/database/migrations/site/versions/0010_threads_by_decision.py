"""threads by decision: what people said of a thread, kept

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "thread_decision",
        sa.Column("id", _ID, nullable=False),
        sa.Column("community_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("parent_message_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_thread_decision_community_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread_decision")),
    )
    op.create_index("ix_thread_decision_message", "thread_decision", ["community_id", "message_id"])
    op.add_column("node", sa.Column("whole_id", _ID, nullable=True))
    there = sa.text("whole_id IS NOT NULL")
    op.create_index("ix_node_whole", "node", ["whole_id"], sqlite_where=there, postgresql_where=there)
