"""the times that members choose: shift ends, days off, quiet hours; who is due is found by an index that keeps order

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("person", sa.Column("digest_at", sa.String(length=8), nullable=False, server_default="shift"))
    op.execute("UPDATE person SET digest_at = 'day' WHERE digest_weekday IS NOT NULL")
    op.add_column("person", sa.Column("one_mail", sa.Boolean(), nullable=False, server_default=sa.text("true")))
    op.add_column("community", sa.Column("urgent", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("membership", sa.Column("quiet", sa.String(length=8), nullable=False, server_default="none"))
    for name in ("quiet_from", "quiet_until", "asleep_until"):
        op.add_column("membership", sa.Column(name, sa.BigInteger(), nullable=True))
    there = sa.text("quiet_until IS NOT NULL")
    op.create_index("ix_membership_quiet", "membership", ["quiet_until"], sqlite_where=there, postgresql_where=there)
    op.add_column("outbox", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    urgent, by = sa.text("urgent"), ["community_id", "created_at"]
    op.create_index("ix_outbox_urgent", "outbox", by, sqlite_where=urgent, postgresql_where=urgent)
    held = sa.text("state = 'held'")
    op.create_index("ix_delivery_held", "delivery", ["membership_id"], sqlite_where=held, postgresql_where=held)
    op.add_column("edition_section", sa.Column("windows", sa.Text(), nullable=True))
    op.drop_index("ix_edition_section_waiting", "edition_section")
    waits, by = sa.text("state = 'waiting'"), ["due_at", "id"]
    op.create_index("ix_edition_section_waiting", "edition_section", by, sqlite_where=waits, postgresql_where=waits)
