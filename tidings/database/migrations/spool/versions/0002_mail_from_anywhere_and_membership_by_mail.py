"""mail from anywhere and membership by mail

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "mailbox",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_mailbox")),
    )
    op.create_table(
        "mailbox_message",
        sa.Column("mailbox", sa.String(length=255), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "hash", name=op.f("pk_mailbox_message")),
    )
    op.create_table(
        "mailbox_trouble",
        sa.Column("mailbox", sa.String(length=255), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "uid_validity", "uid", name=op.f("pk_mailbox_trouble")),
    )
    op.add_column("spool", sa.Column("author", sa.String(length=320), nullable=True))
    op.add_column("spool", sa.Column("community", sa.String(length=24), nullable=True))
    op.add_column("spool", sa.Column("claimed_by", sa.String(length=320), nullable=True))
    op.add_column("spool", sa.Column("claimed_until", sa.BigInteger(), nullable=True))
