"""several smart hosts, by the domain of the recipient

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "route_domain",
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_route_domain")),
    )
    op.add_column("delivery", sa.Column("route", sa.String(length=64), server_default="", nullable=False))
    op.drop_index("ix_delivery_queued", table_name="delivery")
    op.create_index(
        "ix_delivery_queued",
        "delivery",
        ["route", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
