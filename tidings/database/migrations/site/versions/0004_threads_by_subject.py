"""threads by subject and Thread-Index

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("node") as batch:
        batch.add_column(sa.Column("kin_id", _ID, nullable=False, server_default="0"))
        batch.add_column(sa.Column("header_id", _ID, nullable=True))
        batch.add_column(sa.Column("header_why", sa.String(length=16), nullable=False, server_default="root"))
        batch.add_column(sa.Column("index_id", _ID, nullable=True))
        batch.add_column(sa.Column("subject_id", _ID, nullable=True))
        batch.add_column(sa.Column("turn", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("subject_key", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("conversation_key", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("likeness", sa.LargeBinary(), nullable=True))
    # Until now header fields alone held threads together.
    op.execute("UPDATE node SET kin_id = thread_id, header_id = parent_id, header_why = why")
    with op.batch_alter_table("node") as batch:
        batch.create_index("ix_node_subject", ["community_id", "subject_key", "turn"])
        batch.create_index("ix_node_conversation", ["community_id", "conversation_key", "turn"])
