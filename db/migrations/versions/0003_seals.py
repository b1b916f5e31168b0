"""Signed audit events; predictions are append-only and know the event that sealed them.

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add two columns, then guard predictions as readings are guarded (0001 made the function on PostgreSQL)."""
    op.add_column("audit_event", sa.Column("signature", sa.Text(), nullable=True))
    op.add_column("prediction", sa.Column("event_sequence", BIG, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        for deed, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER prediction_no_{deed.lower()} BEFORE {deed} ON prediction "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
        return
    refuse = "SELECT RAISE(ABORT, 'append-only: prediction');"
    for deed in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER prediction_no_{deed.lower()} BEFORE {deed} ON prediction BEGIN {refuse} END")
    found = "SELECT 1 FROM prediction WHERE model_sha256 = NEW.model_sha256 AND case_id = NEW.case_id"
    op.execute(
        f"CREATE TRIGGER prediction_no_replace BEFORE INSERT ON prediction WHEN EXISTS ({found}) BEGIN {refuse} END"
    )


def downgrade() -> None:
    """A trail that was signed stays signed."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
