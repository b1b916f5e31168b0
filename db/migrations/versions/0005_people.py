"""Roles in studies, invitations, passwords that somebody else set, and what reviewers ask about readers.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0006"
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")
REAL: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")

ROLES = "role IN ('administrator', 'coordinator', 'reader', 'statistician')"


def upgrade() -> None:
    """Make the tables; every coordinator so far had every study, and keeps them."""
    if op.get_bind().dialect.name == "postgresql":
        _widen_person_in_place()
    else:
        _make_person_anew()
    op.add_column("study_member", sa.Column("withdrawn_at", UTC, nullable=True))
    _make_tables()
    op.execute(
        "INSERT INTO study_role (study_id, person_id, role, added_at) "
        "SELECT study.study_id, person.person_id, 'coordinator', study.created_at FROM study, person "
        "WHERE person.role = 'coordinator'"
    )


def downgrade() -> None:
    """A study that has its own people keeps them."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")


def _widen_person_in_place() -> None:
    op.drop_constraint(op.f("ck_person_role"), "person", type_="check")
    op.create_check_constraint(op.f("ck_person_role"), "person", ROLES)
    op.add_column("person", sa.Column("specialty", sa.Text()))
    op.add_column("person", sa.Column("site", sa.Text()))
    op.add_column("person", sa.Column("has_used_model", FLAG))
    op.add_column("person", sa.Column("email", sa.Text()))
    op.add_column("person", sa.Column("created_by", sa.Text()))
    op.add_column("person", sa.Column("must_change_password", FLAG, nullable=False, server_default=sa.text("FALSE")))
    op.create_unique_constraint("uq_person_email", "person", ["email"])


def _make_person_anew() -> None:
    """SQLite cannot change a check: the table is copied. Foreign keys are off meanwhile and checked at the end."""
    op.create_table(
        "person_0005",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_simulated", FLAG, nullable=False),
        sa.Column("years_of_experience", REAL, nullable=True),
        sa.Column("is_active", FLAG, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("specialty", sa.Text(), nullable=True),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("has_used_model", FLAG, nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("must_change_password", FLAG, nullable=False, server_default=sa.text("FALSE")),
        sa.CheckConstraint(ROLES, name=op.f("ck_person_role")),
        sa.CheckConstraint("length(login) BETWEEN 1 AND 200", name=op.f("ck_person_login")),
        sa.CheckConstraint("years_of_experience IS NULL OR years_of_experience >= 0", name=op.f("ck_person_years")),
        sa.PrimaryKeyConstraint("person_id", name="pk_person"),
        sa.UniqueConstraint("email", name="uq_person_email"),
        sa.UniqueConstraint("login", name="uq_person_login"),
        sqlite_strict=True,
    )
    kept = "person_id, login, display_name, role, password_hash, is_simulated, years_of_experience, is_active"
    op.execute(f"INSERT INTO person_0005 ({kept}, created_at) SELECT {kept}, created_at FROM person")  # noqa: S608
    op.drop_table("person")
    op.rename_table("person_0005", "person")


def _make_tables() -> None:
    op.create_table(
        "password_set",
        sa.Column("password_set_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name="fk_password_set_person_id"),
        sa.PrimaryKeyConstraint("password_set_id", name="pk_password_set"),
        sqlite_strict=True,
    )
    op.create_index("ix_password_set_person_id", "password_set", ["person_id"])
    op.create_table(
        "study_role",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("added_at", UTC, nullable=False),
        sa.Column("ended_at", UTC, nullable=True),
        sa.CheckConstraint("role IN ('coordinator', 'statistician')", name=op.f("ck_study_role_role")),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name="fk_study_role_person_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_study_role_study_id"),
        sa.PrimaryKeyConstraint("study_id", "person_id", "role", name="pk_study_role"),
        sqlite_strict=True,
    )
    op.create_index("ix_study_role_person_id", "study_role", ["person_id"])
    op.create_table(
        "invitation",
        sa.Column("invitation_id", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=True),
        sa.Column("cohorts", sa.Text(), nullable=False),
        sa.Column("arms", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("revoked_at", UTC, nullable=True),
        sa.Column("used_at", UTC, nullable=True),
        sa.Column("used_by", sa.Text(), nullable=True),
        sa.CheckConstraint(ROLES, name=op.f("ck_invitation_role")),
        sa.CheckConstraint("length(token_sha256) = 64", name=op.f("ck_invitation_token")),
        sa.ForeignKeyConstraint(["created_by"], ["person.person_id"], name="fk_invitation_created_by"),
        sa.ForeignKeyConstraint(["study_id"], ["study.study_id"], name="fk_invitation_study_id"),
        sa.ForeignKeyConstraint(["used_by"], ["person.person_id"], name="fk_invitation_used_by"),
        sa.PrimaryKeyConstraint("invitation_id", name="pk_invitation"),
        sa.UniqueConstraint("token_sha256", name="uq_invitation_token_sha256"),
        sqlite_strict=True,
    )
    op.create_index("ix_invitation_study_id", "invitation", ["study_id"])
