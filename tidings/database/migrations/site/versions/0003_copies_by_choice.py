"""copies by choice: one's own posts, posts that name one, posts that were taken back

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("membership", sa.Column("own_posts", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("membership", sa.Column("also_named", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("outbox", sa.Column("retracted_at", sa.BigInteger(), nullable=True))
