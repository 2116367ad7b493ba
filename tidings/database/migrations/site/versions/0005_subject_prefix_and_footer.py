"""subject prefix and footer of a community

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("community", sa.Column("subject_prefix", sa.Text(), server_default="", nullable=False))
    op.add_column("community", sa.Column("footer", sa.Text(), server_default="", nullable=False))
