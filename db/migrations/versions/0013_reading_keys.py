"""Keys of the reading panel that a reader changed; before, they lay in one browser.

Revision: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; nobody has keys of their own yet."""
    op.add_column("person", sa.Column("reading_keys", sa.Text(), nullable=True))


def downgrade() -> None:
    """Keys stay."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
