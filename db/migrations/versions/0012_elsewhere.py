"""Studies of readings that were made elsewhere: marked for good, their rows append-only.

Revision: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")
TABLE = "elsewhere_reading"


def upgrade() -> None:
    """Add a column and a table, and guard the table as readings are guarded (0001 made the function on PostgreSQL)."""
    op.add_column("study", sa.Column("is_read_elsewhere", FLAG, nullable=False, server_default=sa.false()))
    op.create_table(
        TABLE,
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.CheckConstraint("row_number >= 1", name=op.f("ck_elsewhere_reading_number")),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_elsewhere_reading_study_id"),
        sa.PrimaryKeyConstraint("study_id", "row_number", name="pk_elsewhere_reading"),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        for deed, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE} "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
        return
    refuse = f"SELECT RAISE(ABORT, 'append-only: {TABLE}');"
    for deed in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE} BEGIN {refuse} END")
    found = "SELECT 1 FROM elsewhere_reading WHERE study_id = NEW.study_id AND row_number = NEW.row_number"
    op.execute(f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} WHEN EXISTS ({found}) BEGIN {refuse} END")


def downgrade() -> None:
    """Readings stay."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
