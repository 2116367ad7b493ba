"""the language that a person is told in, and that of each edition

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("person", sa.Column("language", sa.String(length=8), nullable=True))
    op.add_column("edition", sa.Column("language", sa.String(length=8), nullable=False, server_default="en"))
