"""What the browser saw of presentations that were shown and left without an answer; append-only, as readings are.

Revision: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLE, KEY = "presentation_event", ("presentation_id", "draft_id", "first_event")
UTC = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add a table, and guard it as readings are guarded (0001 made the function on PostgreSQL)."""
    op.create_table(
        TABLE,
        sa.Column("presentation_event_id", sa.Text(), nullable=False),
        sa.Column("presentation_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("draft_id", sa.Text(), nullable=False),
        sa.Column("first_event", sa.Integer(), nullable=False),
        sa.Column("client_events", sa.Text(), nullable=False),
        sa.Column("told_at", UTC, nullable=False),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_presentation_event_revision")),
        sa.CheckConstraint("first_event >= 0", name=op.f("ck_presentation_event_first")),
        sa.CheckConstraint("length(draft_id) BETWEEN 1 AND 100", name=op.f("ck_presentation_event_draft")),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.presentation_id"], name="fk_presentation_event_presentation_id"
        ),
        sa.PrimaryKeyConstraint("presentation_event_id", name="pk_presentation_event"),
        sa.UniqueConstraint(
            "presentation_id",
            "draft_id",
            "first_event",
            name="uq_presentation_event_presentation_id_draft_id_first_event",
        ),
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
    same = " AND ".join(f"{column} = NEW.{column}" for column in KEY)
    found = f"SELECT 1 FROM {TABLE} WHERE presentation_event_id = NEW.presentation_event_id OR ({same})"  # noqa: S608
    op.execute(f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} WHEN EXISTS ({found}) BEGIN {refuse} END")


def downgrade() -> None:
    """What was kept stays."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
