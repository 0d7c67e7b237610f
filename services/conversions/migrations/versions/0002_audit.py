"""The audit chain: every privileged write and every denial, append-only (ADR 0007)."""

from alembic import op

from shared.runtime.audit_schema import create_audit_tables, drop_audit_tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the chain."""
    create_audit_tables(op, service="conversions")


def downgrade() -> None:
    """Remove the chain; its entries are lost."""
    drop_audit_tables(op)
