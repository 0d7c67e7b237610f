"""Answers kept under a caller's idempotency key, since finance and affiliates write here now."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWN = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)


def upgrade() -> None:
    """Create the table; a sweep forgets its rows after 30 days."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE idempotency_key (
            owner text NOT NULL,
            key text NOT NULL,
            merchant_id integer,
            affiliate_id integer,
            request_hash bytea NOT NULL,
            http_status integer NOT NULL,
            answer bytea NOT NULL,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (owner, key)
        )
        """
    )
    op.execute("CREATE INDEX idempotency_key_created ON idempotency_key (created_at)")
    op.execute("ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE idempotency_key FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON idempotency_key TO commissions_api USING ({_OWN}) WITH CHECK ({_OWN})")
    op.execute(
        "CREATE POLICY everything ON idempotency_key TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT ON idempotency_key TO commissions_api, commissions_staff")
    op.execute("GRANT SELECT, DELETE ON idempotency_key TO commissions_worker")


def downgrade() -> None:
    """Drop it: a write sent again after this is done again, or refused by its own rules."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE idempotency_key")
