"""subject prefix and footer of a community

Revision: 0009, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("community", sa.Column("subject_prefix", sa.Text(), server_default="", nullable=False))
    op.add_column("community", sa.Column("footer", sa.Text(), server_default="", nullable=False))
