"""Offers that pause while their merchant's prepaid balance is exhausted."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables, for the worker alone, and let it change an offer's status."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE merchant_funding (
            merchant_id integer NOT NULL,
            currency char(3) NOT NULL,
            is_unfunded boolean NOT NULL,
            version integer NOT NULL,
            PRIMARY KEY (merchant_id, currency)
        )
        """
    )
    op.execute(
        "CREATE TABLE funding_pause (offer_id integer PRIMARY KEY REFERENCES offer, paused_at timestamptz NOT NULL)"
    )
    for table in ("merchant_funding", "funding_pause"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY every_row ON {table} TO gateway_staff, gateway_worker, gateway_migrate"
            " USING (true) WITH CHECK (true)"
        )
    op.execute("GRANT SELECT, INSERT, UPDATE ON merchant_funding TO gateway_worker")
    op.execute("GRANT SELECT, INSERT, DELETE ON funding_pause TO gateway_worker")
    op.execute("GRANT SELECT ON offer TO gateway_worker")
    op.execute("GRANT UPDATE (name, status, current_version, fallback_url, changed_at) ON offer TO gateway_worker")


def downgrade() -> None:
    """Remove both; offers stay as they are."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("REVOKE SELECT, UPDATE ON offer FROM gateway_worker")
    op.execute("REVOKE UPDATE (name, status, current_version, fallback_url, changed_at) ON offer FROM gateway_worker")
    op.execute("DROP TABLE funding_pause, merchant_funding")
