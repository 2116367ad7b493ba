"""the formats of digests: what a person chose, and what an edition was frozen in

Revision: 0022, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0015"


def upgrade() -> None:
    for table in ("person", "edition"):
        op.add_column(table, sa.Column("format", sa.String(length=8), nullable=False, server_default="html"))
