"""a text index whose words are of one making on both engines

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

# Frozen here: what tables.py says later is a later migration's matter.
TEXT_INDEX = {
    "sqlite": (
        "CREATE VIRTUAL TABLE post_text USING fts5(subject, author, recipients, text, content='', contentless_delete=1, tokenize=\"ascii tokenchars '_'\")",
    ),
    "postgresql": (
        "CREATE TABLE post_text (rowid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "CREATE INDEX ix_post_text ON post_text USING gin (words)",
    ),
}


def upgrade() -> None:
    op.add_column("community", sa.Column("language", sa.String(length=16), server_default="english", nullable=False))
    op.execute("DROP TABLE post_text")
    for statement in TEXT_INDEX[op.get_bind().dialect.name]:
        op.execute(statement)
    # The index is empty now; the program fills it when it opens the site.
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT 1 FROM post LIMIT 1")).first():
        connection.execute(sa.text("INSERT INTO site_value (key, value) VALUES ('fill_index', :yes)"), {"yes": b"yes"})
