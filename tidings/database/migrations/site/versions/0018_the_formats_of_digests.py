"""the formats of digests: what a person chose, and what an edition was frozen in

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    for table in ("person", "edition"):
        op.add_column(table, sa.Column("format", sa.String(length=8), nullable=False, server_default="html"))
