"""The ground: every table of the first version, and the triggers that keep readings and audit events for good.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")
REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Append-only tables, and what identifies one of their rows: an INSERT OR REPLACE that meets any of these would delete.
APPEND_ONLY = {
    "reading": (("sequence",), ("reading_id",), ("submit_id",), ("presentation_id", "revision")),
    "audit_event": (("sequence",), ("prev_hash",), ("hash",)),
}


def upgrade() -> None:
    """Make the tables, then the triggers of the engine at hand."""
    _make_tables()
    for table, keys in APPEND_ONLY.items():
        if op.get_bind().dialect.name == "postgresql":
            _guard_postgresql(table)
        else:
            _guard_sqlite(table, keys)


def _guard_sqlite(table: str, keys: tuple[tuple[str, ...], ...]) -> None:
    """Refuse UPDATE, DELETE, and an INSERT that meets an existing row.

    REPLACE fires delete triggers only on connections with ``recursive_triggers``; the third trigger holds on all.
    """
    refuse = f"SELECT RAISE(ABORT, 'append-only: {table}');"
    for deed in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} BEGIN {refuse} END")
    meets = " OR ".join("(" + " AND ".join(f"{key} = NEW.{key}" for key in group) + ")" for group in keys)
    found = f"SELECT 1 FROM {table} WHERE {meets}"  # noqa: S608 - names from this file only
    op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({found}) BEGIN {refuse} END")


def _guard_postgresql(table: str) -> None:
    """Refuse UPDATE (and with it ON CONFLICT DO UPDATE), DELETE and TRUNCATE."""
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'append-only: %', TG_TABLE_NAME USING ERRCODE = '23000'; END $$"
    )
    for deed, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    """There is nothing before the ground."""
    raise NotImplementedError("a store cannot be taken back before its first version; restore a backup instead")


def _make_tables() -> None:
    op.create_table(
        "audit_event",
        sa.Column("sequence", BIG, autoincrement=False, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("study_key", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("length(prev_hash) = 64 AND length(hash) = 64", name=op.f("ck_audit_event_hashes")),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_audit_event_sequence")),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_event"),
        sa.UniqueConstraint("hash", name="uq_audit_event_hash"),
        sa.UniqueConstraint("prev_hash", name="uq_audit_event_prev_hash"),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_event_study_key", "audit_event", ["study_key"], unique=False)
    op.create_table(
        "image",
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("bits IN (8, 16)", name=op.f("ck_image_bits")),
        sa.CheckConstraint("length(content_sha256) = 64", name=op.f("ck_image_hash")),
        sa.CheckConstraint("length(png) > 0", name=op.f("ck_image_png")),
        sa.CheckConstraint("width >= 1 AND height >= 1", name=op.f("ck_image_size")),
        sa.PrimaryKeyConstraint("image_id", name="pk_image"),
        sa.UniqueConstraint("content_sha256", name="uq_image_content_sha256"),
        sqlite_strict=True,
    )
    op.create_table(
        "model_version",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("architecture", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("registered_at", UTC, nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_model_version_hash")),
        sa.PrimaryKeyConstraint("sha256", name="pk_model_version"),
        sqlite_strict=True,
    )
    op.create_index("ix_model_version_name", "model_version", ["name"], unique=False)
    op.create_table(
        "person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_simulated", FLAG, nullable=False),
        sa.Column("years_of_experience", REAL, nullable=True),
        sa.Column("is_active", FLAG, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("role IN ('coordinator', 'reader')", name=op.f("ck_person_role")),
        sa.CheckConstraint("length(login) BETWEEN 1 AND 200", name=op.f("ck_person_login")),
        sa.CheckConstraint("years_of_experience IS NULL OR years_of_experience >= 0", name=op.f("ck_person_years")),
        sa.PrimaryKeyConstraint("person_id", name="pk_person"),
        sa.UniqueConstraint("login", name="uq_person_login"),
        sqlite_strict=True,
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("ip", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_attempt_at", UTC, nullable=False),
        sa.Column("next_allowed_at", UTC, nullable=False),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_sign_in_attempt_failures")),
        sa.PrimaryKeyConstraint("login", "ip", name="pk_sign_in_attempt"),
        sqlite_strict=True,
    )
    op.create_index("ix_sign_in_attempt_last_attempt_at", "sign_in_attempt", ["last_attempt_at"], unique=False)
    op.create_table(
        "study",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("study_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_synthetic", FLAG, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("state IN ('draft', 'open', 'closed', 'unsealed')", name=op.f("ck_study_state")),
        sa.CheckConstraint("length(study_key) BETWEEN 1 AND 64", name=op.f("ck_study_key")),
        sa.PrimaryKeyConstraint("study_id", name="pk_study"),
        sa.UniqueConstraint("study_key", name="uq_study_study_key"),
        sqlite_strict=True,
    )
    op.create_table(
        "cohort",
        sa.Column("cohort_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_cohort_study_id"),
        sa.PrimaryKeyConstraint("cohort_id", name="pk_cohort"),
        sa.UniqueConstraint("study_id", "name", name="uq_cohort_study_id_name"),
        sqlite_strict=True,
    )
    op.create_table(
        "protocol_version",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_protocol_version_version")),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_protocol_version_study_id"),
        sa.PrimaryKeyConstraint("study_id", "version", name="pk_protocol_version"),
        sqlite_strict=True,
    )
    op.create_table(
        "sign_in_session",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("ip", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.CheckConstraint("length(token_sha256) = 64", name=op.f("ck_sign_in_session_token")),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name="fk_sign_in_session_person_id"),
        sa.PrimaryKeyConstraint("token_sha256", name="pk_sign_in_session"),
        sqlite_strict=True,
    )
    op.create_index("ix_sign_in_session_person_id", "sign_in_session", ["person_id"], unique=False)
    op.create_table(
        "study_member",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("cohorts", sa.Text(), nullable=False),
        sa.Column("arms", sa.Text(), nullable=False),
        sa.Column("order_seed", BIG, nullable=False),
        sa.Column("order_algorithm", sa.Text(), nullable=False),
        sa.Column("added_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name="fk_study_member_person_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_study_member_study_id"),
        sa.PrimaryKeyConstraint("study_id", "person_id", name="pk_study_member"),
        sqlite_strict=True,
    )
    op.create_table(
        "patient",
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("cohort_id", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.cohort_id"], name="fk_patient_cohort_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_patient_study_id"),
        sa.PrimaryKeyConstraint("patient_id", name="pk_patient"),
        sa.UniqueConstraint("study_id", "patient_key", name="uq_patient_study_id_patient_key"),
        sqlite_strict=True,
    )
    op.create_index("ix_patient_cohort_id", "patient", ["cohort_id"], unique=False)
    op.create_table(
        "study_case",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("cohort_id", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("case_key", sa.Text(), nullable=False),
        sa.Column("centre", sa.Text(), nullable=True),
        sa.Column("scanner", sa.Text(), nullable=True),
        sa.Column("age_years", REAL, nullable=True),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("exclusion_reason", sa.Text(), nullable=True),
        sa.Column("source_name", sa.Text(), nullable=True),
        sa.CheckConstraint("sex IS NULL OR sex IN ('F', 'M')", name=op.f("ck_study_case_sex")),
        sa.CheckConstraint("age_years IS NULL OR age_years >= 0", name=op.f("ck_study_case_age")),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.cohort_id"], name="fk_study_case_cohort_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.patient_id"], name="fk_study_case_patient_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_study_case_study_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_study_case"),
        sa.UniqueConstraint("study_id", "case_key", name="uq_study_case_study_id_case_key"),
        sqlite_strict=True,
    )
    op.create_index("ix_study_case_cohort_id", "study_case", ["cohort_id"], unique=False)
    op.create_index("ix_study_case_patient_id", "study_case", ["patient_id"], unique=False)
    op.create_table(
        "case_image",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("view_number", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("pixel_spacing_mm", REAL, nullable=True),
        sa.CheckConstraint("pixel_spacing_mm IS NULL OR pixel_spacing_mm > 0", name=op.f("ck_case_image_spacing")),
        sa.CheckConstraint("view_number >= 1", name=op.f("ck_case_image_view")),
        sa.ForeignKeyConstraint(["case_id"], ["study_case.case_id"], name="fk_case_image_case_id"),
        sa.ForeignKeyConstraint(["image_id"], ["image.image_id"], name="fk_case_image_image_id"),
        sa.PrimaryKeyConstraint("case_id", "view_number", name="pk_case_image"),
        sqlite_strict=True,
    )
    op.create_index("ix_case_image_image_id", "case_image", ["image_id"], unique=False)
    op.create_table(
        "prediction",
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("probabilities", sa.Text(), nullable=False),
        sa.Column("class_maps", sa.LargeBinary(), nullable=True),
        sa.Column("class_maps_shape", sa.Text(), nullable=True),
        sa.Column("entropy", REAL, nullable=False),
        sa.Column("is_out_of_distribution", FLAG, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("precision", sa.Text(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.CheckConstraint("(class_maps IS NULL) = (class_maps_shape IS NULL)", name=op.f("ck_prediction_maps")),
        sa.CheckConstraint("entropy >= 0", name=op.f("ck_prediction_entropy")),
        sa.ForeignKeyConstraint(["case_id"], ["study_case.case_id"], name="fk_prediction_case_id"),
        sa.ForeignKeyConstraint(["model_sha256"], ["model_version.sha256"], name="fk_prediction_model_sha256"),
        sa.PrimaryKeyConstraint("model_sha256", "case_id", name="pk_prediction"),
        sqlite_strict=True,
    )
    op.create_index("ix_prediction_case_id", "prediction", ["case_id"], unique=False)
    op.create_table(
        "presentation",
        sa.Column("presentation_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint("arm IN ('unaided', 'aided')", name=op.f("ck_presentation_arm")),
        sa.CheckConstraint("position >= 1", name=op.f("ck_presentation_position")),
        sa.CheckConstraint("repeat >= 1", name=op.f("ck_presentation_repeat")),
        sa.ForeignKeyConstraint(["case_id"], ["study_case.case_id"], name="fk_presentation_case_id"),
        sa.ForeignKeyConstraint(
            ["study_id", "person_id"],
            ["study_member.study_id", "study_member.person_id"],
            name="fk_presentation_member",
        ),
        sa.PrimaryKeyConstraint("presentation_id", name="pk_presentation"),
        sa.UniqueConstraint(
            "study_id",
            "person_id",
            "case_id",
            "arm",
            "repeat",
            name="uq_presentation_study_id_person_id_case_id_arm_repeat",
        ),
        sa.UniqueConstraint("study_id", "person_id", "position", name="uq_presentation_study_id_person_id_position"),
        sqlite_strict=True,
    )
    op.create_index("ix_presentation_case_id", "presentation", ["case_id"], unique=False)
    op.create_table(
        "reference_standard",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("class_key", sa.Text(), nullable=False),
        sa.Column("lesion_mask_png", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["study_case.case_id"], name="fk_reference_standard_case_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_reference_standard"),
        sqlite_strict=True,
    )
    op.create_table(
        "reading",
        sa.Column("sequence", BIG, autoincrement=True, nullable=False),
        sa.Column("reading_id", sa.Text(), nullable=False),
        sa.Column("presentation_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("submit_id", sa.Text(), nullable=False),
        sa.Column("class_key", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("is_unreadable", FLAG, nullable=False),
        sa.Column("reading_seconds", REAL, nullable=True),
        sa.Column("display_state", sa.Text(), nullable=False),
        sa.Column("saved_at", UTC, nullable=False),
        sa.CheckConstraint("confidence >= 1", name=op.f("ck_reading_confidence")),
        sa.CheckConstraint("length(class_key) > 0", name=op.f("ck_reading_class")),
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
