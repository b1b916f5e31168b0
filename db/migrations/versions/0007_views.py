"""Several views of a case: their names, colour, the patient's left, and a lesion mask for each.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add three columns and a table; what was imported before has one grey view without a name.

    Masks that were imported before stay in the reference standard, where they are sealed.
    """
    op.add_column("case_image", sa.Column("view_name", sa.Text(), nullable=False, server_default=""))
    op.add_column("case_image", sa.Column("is_colour", FLAG, nullable=False, server_default=sa.false()))
    name, sides = "ck_case_image_left_side", "left_side IS NULL OR left_side IN ('image-left', 'image-right')"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE case_image ADD COLUMN left_side TEXT CONSTRAINT {name} CHECK ({sides})")
    else:
        op.add_column("case_image", sa.Column("left_side", sa.Text(), nullable=True))
        op.create_check_constraint(op.f(name), "case_image", sides)
    op.create_table(
        "lesion_mask",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("view_number", sa.Integer(), nullable=False),
        sa.Column("png", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(png) > 0", name=op.f("ck_lesion_mask_png")),
        sa.ForeignKeyConstraint(
            ["case_id", "view_number"], ["case_image.case_id", "case_image.view_number"], name="fk_lesion_mask_view"
        ),
        sa.PrimaryKeyConstraint("case_id", "view_number", name="pk_lesion_mask"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """Views cannot be forgotten."""
    raise NotImplementedError("a store cannot be taken back to an earlier version; restore a backup instead")
