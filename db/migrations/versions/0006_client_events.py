"""What the browser saw while a case was on its screen, kept with the reading and sealed with it.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; readings from before have no events, and their seals name the columns that they speak of."""
    op.add_column("reading", sa.Column("client_events", sa.Text(), nullable=False, server_default="[]"))


def downgrade() -> None:
    """Readings are append-only."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
