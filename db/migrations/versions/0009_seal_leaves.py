"""The hash of each row behind a seal, so that a row that was touched can be named.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table; seals from before keep to numbers of rows."""
    op.create_table(
        "seal_leaves",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("leaves", sa.Text(), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_seal_leaves_hash")),
        sa.PrimaryKeyConstraint("sha256", name="pk_seal_leaves"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Seals stay sealed."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
