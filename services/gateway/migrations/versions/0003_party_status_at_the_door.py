"""The door's role reads the status of merchants and affiliates: a suspended party's keys open nothing."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the door read numbers and status, not names."""
    op.execute("GRANT SELECT (merchant_id, status) ON merchant TO gateway_intake")
    op.execute("GRANT SELECT (affiliate_id, status) ON affiliate TO gateway_intake")


def downgrade() -> None:
    """Take it back."""
    op.execute("REVOKE SELECT (merchant_id, status) ON merchant FROM gateway_intake")
    op.execute("REVOKE SELECT (affiliate_id, status) ON affiliate FROM gateway_intake")
