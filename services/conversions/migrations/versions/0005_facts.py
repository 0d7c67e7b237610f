"""What terms may price by: facts of an order, and since when its customer is known."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; NULL facts are those of conversions recorded before, whose content had none."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE conversion ADD COLUMN facts jsonb CHECK (jsonb_typeof(facts) = 'object'),"
        " ADD COLUMN customer_first_at timestamptz"
    )


def downgrade() -> None:
    """Drop the columns: conversions lose what their price was decided by; the events keep it."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("ALTER TABLE conversion DROP COLUMN facts, DROP COLUMN customer_first_at")
