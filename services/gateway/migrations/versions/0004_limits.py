"""Rate limits over all processes: buckets and the functions that lease from them."""

from alembic import op

from shared.runtime.rate_limit.schema import create_limit_tables, drop_limit_tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    create_limit_tables(op, service="gateway")


def downgrade() -> None:
    """Drop everything."""
    drop_limit_tables(op)
