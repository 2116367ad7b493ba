"""replies that wait: what was written in answer to a digest, until its sender says for which item

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "kept_reply",
        sa.Column("id", _ID, nullable=False),
        sa.Column("edition_id", _ID, nullable=False),
        sa.Column("membership_id", _ID, nullable=False),
        sa.Column("item_id", _ID, nullable=True),
        sa.Column("content_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("via", sa.String(length=8), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name=op.f("fk_kept_reply_edition_id")),
        sa.ForeignKeyConstraint(["membership_id"], ["membership.id"], name=op.f("fk_kept_reply_membership_id")),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_kept_reply_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_reply")),
        sa.UniqueConstraint("edition_id", "content_hash", name=op.f("uq_kept_reply_edition_id_content_hash")),
    )
    op.create_index("ix_kept_reply_membership_id", "kept_reply", ["membership_id"])
    op.create_index("ix_kept_reply_expires_at", "kept_reply", ["expires_at"])
