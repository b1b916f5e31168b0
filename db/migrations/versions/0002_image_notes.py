"""What reading an image file changed, left out or found odd, and the format of the file.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; cases that were imported before have no notes."""
    op.add_column("case_image", sa.Column("file_format", sa.Text()))
    op.add_column("case_image", sa.Column("notes", sa.Text(), nullable=False, server_default="[]"))
