"""files by content: the hash of each attachment, and which posts have HTML

Until `tidings rebuild` made them anew, attachments of before have no hash, and every post is taken to have HTML.

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("attachment", sa.Column("hash", sa.LargeBinary(length=32), nullable=True))
    op.create_index("ix_attachment_hash", "attachment", ["hash", "post_id"])
    op.add_column("post", sa.Column("has_html", sa.Boolean(), server_default=sa.text("true"), nullable=False))
