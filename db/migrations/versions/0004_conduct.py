"""Designs beyond the unaided one: periods, blocks, training, scales, reveals, deviations, the state locked.

Revision: 0004

SQLite cannot loosen a column or a check, so two tables are made anew there and every row is copied by the engine
itself, value by value. A seal names its columns; rows sealed before are held against those, so old seals stay valid.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0007"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")
REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

STATE = "state IN ('draft', 'open', 'closed', 'locked', 'unsealed')"
PRESENTATION_CHECKS = {"period": "period IN (1, 2)", "block": "block >= 1"}
READING_CHECKS = {
    "class": "class_key IS NULL OR length(class_key) > 0",
    "answer": "class_key IS NOT NULL OR is_unreadable",
    "confidence": "confidence IS NULL OR confidence >= 0",
}
#: What identifies a reading: an INSERT OR REPLACE that meets any of these would delete one.
READING_KEYS = (("sequence",), ("reading_id",), ("submit_id",), ("presentation_id", "revision"))


def upgrade() -> None:
    """Change four tables, add three, and find out when each study was opened."""
    if op.get_bind().dialect.name == "postgresql":
        _change_on_postgresql()
    else:
        _change_on_sqlite()
    op.create_table(
        "reveal",
        sa.Column("presentation_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("revealed_at", UTC, nullable=False),
        sa.CheckConstraint("what IN ('model', 'truth')", name=op.f("ck_reveal_what")),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.presentation_id"], name="fk_reveal_presentation_id"
        ),
        sa.PrimaryKeyConstraint("presentation_id", "what", name="pk_reveal"),
        sqlite_strict=True,
    )
    op.create_table(
        "deviation",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", UTC, nullable=False),
        sa.CheckConstraint("kind IN ('washout', 'opens_on', 'closes_on')", name=op.f("ck_deviation_kind")),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_deviation_reason")),
        sa.ForeignKeyConstraint(
            ["study_id", "person_id"], ["study_member.study_id", "study_member.person_id"], name="fk_deviation_member"
        ),
        sa.PrimaryKeyConstraint("study_id", "person_id", "kind", name="pk_deviation"),
        sqlite_strict=True,
    )
    op.create_table(
        "altered_answer",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("probabilities", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["study_case.case_id"], name="fk_altered_answer_case_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_altered_answer"),
        sqlite_strict=True,
    )
    _find_openings()


def _new_columns(table: str) -> list[sa.Column]:
    """Columns that a table gets, after those that it has."""
    of_table: dict[str, list[sa.Column]] = {
        "study": [sa.Column("opened_at", UTC, nullable=True)],
        "study_member": [sa.Column("reader_group", sa.Integer(), nullable=True)],
        "presentation": [
            sa.Column("period", sa.Integer(), nullable=False, server_default="1"),
            sa.Column("block", sa.Integer(), nullable=False, server_default="1"),
            sa.Column("is_training", FLAG, nullable=False, server_default=sa.false()),
        ],
        "reading": [
            sa.Column("probabilities", sa.Text(), nullable=True),
            sa.Column("unreadable_reason", sa.Text(), nullable=False, server_default=""),
            sa.Column("marks", sa.Text(), nullable=False, server_default="[]"),
            sa.Column("is_typed_ahead", FLAG, nullable=False, server_default=sa.false()),
        ],
    }
    return of_table[table]


def _change_on_postgresql() -> None:
    """Columns and checks are added and loosened in place; the triggers stay where they are."""
    for table in ("study", "study_member", "presentation", "reading"):
        for column in _new_columns(table):
            op.add_column(table, column)
    op.create_check_constraint(
        op.f("ck_study_member_group"), "study_member", "reader_group IS NULL OR reader_group IN (1, 2)"
    )
    op.drop_constraint(op.f("ck_study_state"), "study")
    op.create_check_constraint(op.f("ck_study_state"), "study", STATE)
    for name, check in PRESENTATION_CHECKS.items():
        op.create_check_constraint(op.f(f"ck_presentation_{name}"), "presentation", check)
    op.alter_column("reading", "class_key", nullable=True)
    op.alter_column("reading", "confidence", nullable=True)
    for name, check in READING_CHECKS.items():
        if name != "answer":
            op.drop_constraint(op.f(f"ck_reading_{name}"), "reading")
        op.create_check_constraint(op.f(f"ck_reading_{name}"), "reading", check)


def _change_on_sqlite() -> None:
    """Add columns in place; make two tables anew beside the old ones, copy the rows, and guard readings again."""
    group = "reader_group IS NULL OR reader_group IN (1, 2)"
    op.execute(
        f"ALTER TABLE study_member ADD COLUMN reader_group INTEGER CONSTRAINT ck_study_member_group CHECK ({group})"
    )
    for name, check in PRESENTATION_CHECKS.items():
        op.execute(
            f"ALTER TABLE presentation ADD COLUMN {name} INTEGER DEFAULT 1 NOT NULL "
            f"CONSTRAINT ck_presentation_{name} CHECK ({check})"
        )
    op.execute("ALTER TABLE presentation ADD COLUMN is_training INTEGER DEFAULT 0 NOT NULL")
    for table, make in {"study": _make_study, "reading": _make_reading}.items():
        columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]
        make(f"{table}_0004")
        names = ", ".join(columns)
        op.execute(f"INSERT INTO {table}_0004 ({names}) SELECT {names} FROM {table} ORDER BY rowid")  # noqa: S608
        op.drop_table(table)
        op.rename_table(f"{table}_0004", table)
    refuse = "SELECT RAISE(ABORT, 'append-only: reading');"
    for deed in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER reading_no_{deed.lower()} BEFORE {deed} ON reading BEGIN {refuse} END")
    meets = " OR ".join("(" + " AND ".join(f"{key} = NEW.{key}" for key in group) + ")" for group in READING_KEYS)
    found = f"SELECT 1 FROM reading WHERE {meets}"  # noqa: S608 - names from this file only
    op.execute(f"CREATE TRIGGER reading_no_replace BEFORE INSERT ON reading WHEN EXISTS ({found}) BEGIN {refuse} END")


def _make_study(name: str) -> None:
    op.create_table(
        name,
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("study_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_synthetic", FLAG, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        *_new_columns("study"),
        sa.CheckConstraint(STATE, name=op.f("ck_study_state")),
        sa.CheckConstraint("length(study_key) BETWEEN 1 AND 64", name=op.f("ck_study_key")),
        sa.PrimaryKeyConstraint("study_id", name="pk_study"),
        sa.UniqueConstraint("study_key", name="uq_study_study_key"),
        sqlite_strict=True,
    )


def _make_reading(name: str) -> None:
    op.create_table(
        name,
        sa.Column("sequence", BIG, autoincrement=True, nullable=False),
        sa.Column("reading_id", sa.Text(), nullable=False),
        sa.Column("presentation_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("submit_id", sa.Text(), nullable=False),
        sa.Column("class_key", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("is_unreadable", FLAG, nullable=False),
        sa.Column("reading_seconds", REAL, nullable=True),
        sa.Column("display_state", sa.Text(), nullable=False),
        sa.Column("saved_at", UTC, nullable=False),
        sa.Column("client_events", sa.Text(), nullable=False, server_default="[]"),
        *_new_columns("reading"),
        *(sa.CheckConstraint(check, name=op.f(f"ck_reading_{part}")) for part, check in READING_CHECKS.items()),
        sa.CheckConstraint("length(submit_id) BETWEEN 1 AND 100", name=op.f("ck_reading_submit")),
        sa.CheckConstraint("reading_seconds IS NULL OR reading_seconds >= 0", name=op.f("ck_reading_seconds")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_reading_revision")),
        sa.ForeignKeyConstraint(
            ["presentation_id"], ["presentation.presentation_id"], name="fk_reading_presentation_id"
        ),
        sa.PrimaryKeyConstraint("sequence", name="pk_reading"),
        sa.UniqueConstraint("presentation_id", "revision", name="uq_reading_presentation_id_revision"),
        sa.UniqueConstraint("reading_id", name="uq_reading_reading_id"),
        sa.UniqueConstraint("submit_id", name="uq_reading_submit_id"),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )


def _find_openings() -> None:
    """When each study was first opened stands in the trail."""
    event, study = (
        sa.table("audit_event", *map(sa.column, ("sequence", "at", "action", "study_key", "detail"))),
        sa.table("study", sa.column("study_key"), sa.column("opened_at")),
    )
    connection = op.get_bind()
    found = connection.execute(
        sa.select(event.c.study_key, event.c.at, event.c.detail)
        .where(event.c.action == "study.state")
        .order_by(event.c.sequence.desc())
    ).all()
    openings = {key: at for key, at, detail in found if json.loads(detail)["to"] == "open"}
    for key, at in openings.items():
        connection.execute(sa.update(study).where(study.c.study_key == key).values(opened_at=at))


def downgrade() -> None:
    """An answer of the new kinds has no place in the old table."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
