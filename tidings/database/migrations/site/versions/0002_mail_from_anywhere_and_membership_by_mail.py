"""mail from anywhere and membership by mail

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "bounce_wave",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounce_wave")),
    )
    op.create_table(
        "notice_count",
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("many", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("email_key", "day", name=op.f("pk_notice_count")),
    )
    op.create_table(
        "confirmation",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("community_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_confirmation_community_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_confirmation")),
    )
    op.create_index("ix_confirmation_created_at", "confirmation", ["created_at"], unique=False)
    op.create_table(
        "sender_rule",
        sa.Column("community_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("rule", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_sender_rule_community_id")),
        sa.UniqueConstraint("community_id", "email_key", name=op.f("uq_sender_rule_community_id_email_key")),
    )
    op.create_table(
        "bounce",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("community_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("permanent", sa.Boolean(), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["address_id"], ["address.id"], name=op.f("fk_bounce_address_id")),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_bounce_community_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bounce")),
        sa.UniqueConstraint("address_id", "day", name=op.f("uq_bounce_address_id_day")),
    )
    op.create_index("ix_bounce_day", "bounce", ["day"], unique=False)
    op.create_table(
        "thread_choice",
        sa.Column("membership_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("choice", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["membership_id"], ["membership.id"], name=op.f("fk_thread_choice_membership_id")),
        sa.UniqueConstraint("membership_id", "message_id", name=op.f("uq_thread_choice_membership_id_message_id")),
    )
    op.create_index("ix_thread_choice_message", "thread_choice", ["message_id"], unique=False)
    op.add_column("address", sa.Column("stopped_at", sa.BigInteger(), nullable=True))
    op.add_column("address", sa.Column("stopped_why", sa.Text(), nullable=True))
    op.add_column("address", sa.Column("probes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("address", sa.Column("probe_due_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_address_probe",
        "address",
        ["probe_due_at"],
        unique=False,
        sqlite_where=sa.text("probe_due_at IS NOT NULL"),
        postgresql_where=sa.text("probe_due_at IS NOT NULL"),
    )
    op.add_column("community", sa.Column("domain", sa.String(length=255), nullable=True))
    op.add_column("community", sa.Column("replies", sa.String(length=8), server_default="list", nullable=False))
    op.add_column("community", sa.Column("newcomer_posts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("community", sa.Column("max_size", sa.BigInteger(), nullable=True))
    op.add_column("community", sa.Column("max_attachments", sa.BigInteger(), nullable=True))
    op.add_column("community", sa.Column("signed_only", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("membership", sa.Column("held_posts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("membership", sa.Column("paused_until", sa.BigInteger(), nullable=True))
