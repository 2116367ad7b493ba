"""cards: what a community learned; fragments of digests that are stored once for all who are told the same

Revision: 0011, after 0010
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MANY = 1_000  # items whose fragments are held at a time


def upgrade() -> None:
    op.create_table(
        "card",
        sa.Column("id", _ID, nullable=False),
        sa.Column("community_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("post_id", _ID, nullable=False),
        sa.Column("about_id", _ID, nullable=True),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["community_id"], ["community.id"], name=op.f("fk_card_community_id_community")),
        sa.ForeignKeyConstraint(["post_id"], ["post.id"], name=op.f("fk_card_post_id_post")),
        sa.ForeignKeyConstraint(["about_id"], ["post.id"], name=op.f("fk_card_about_id_post")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_card_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card")),
        sa.UniqueConstraint("post_id", "kind", name=op.f("uq_card_post_id_kind")),
    )
    op.create_index("ix_card_community", "card", ["community_id", "kind"])
    op.create_table(
        "fragment",
        sa.Column("id", _ID, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fragment")),
        sa.UniqueConstraint("hash", name=op.f("uq_fragment_hash")),
    )
    with op.batch_alter_table("item") as item:
        item.add_column(sa.Column("fragment_id", _ID, nullable=True))
    _share_fragments(op.get_bind())
    with op.batch_alter_table("item") as item:
        item.alter_column("fragment_id", existing_type=_ID, nullable=False)
        item.create_foreign_key(op.f("fk_item_fragment_id_fragment"), "fragment", ["fragment_id"], ["id"])
        item.drop_column("fragment")
    op.create_index(op.f("ix_item_fragment_id"), "item", ["fragment_id"])


def _share_fragments(connection: sa.Connection) -> None:
    some = sa.text("SELECT id, fragment FROM item WHERE id > :after ORDER BY id LIMIT :many")
    known: dict[bytes, int] = {}
    after = 0
    while rows := connection.execute(some, {"after": after, "many": _MANY}).all():
        for item_id, data in rows:
            digest = hashlib.sha256(data.encode()).digest()
            if digest not in known:
                row = {"hash": digest, "data": data}
                added = sa.text("INSERT INTO fragment (hash, data) VALUES (:hash, :data) RETURNING id")
                known[digest] = connection.execute(added, row).scalar_one()
            moved = sa.text("UPDATE item SET fragment_id = :fragment WHERE id = :item")
            connection.execute(moved, {"fragment": known[digest], "item": item_id})
        after = rows[-1][0]
