"""What is reserved under caps, what a commission holds and waits for, and steps that finance makes between versions."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OWN_OR_SHARED = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)


def upgrade() -> None:
    """Add the reservations, and a commission's grants and withheld price."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE cap_usage (
            key text PRIMARY KEY,
            offer_id integer NOT NULL,
            merchant_id integer NOT NULL,
            affiliate_id integer,
            period text NOT NULL,
            currency char(3),
            name text NOT NULL,
            reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
            released bigint NOT NULL DEFAULT 0 CHECK (released >= 0)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute("CREATE INDEX cap_usage_offer ON cap_usage (offer_id, name, period)")
    op.execute("ALTER TABLE cap_usage ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE cap_usage FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON cap_usage TO commissions_api USING ({_OWN_OR_SHARED}) WITH CHECK (false)")
    op.execute(
        "CREATE POLICY everything ON cap_usage TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON cap_usage TO commissions_api")
    op.execute("GRANT SELECT, INSERT ON cap_usage TO commissions_staff, commissions_worker")
    op.execute("GRANT UPDATE (reserved, released) ON cap_usage TO commissions_staff, commissions_worker")
    op.execute(
        "ALTER TABLE commission ADD COLUMN grants jsonb, ADD COLUMN target_commission_minor bigint,"
        " ADD COLUMN target_margin_minor bigint,"
        " ADD CHECK ((target_commission_minor IS NULL) = (target_margin_minor IS NULL))"
    )
    op.execute(
        "ALTER TABLE commission_step ADD COLUMN n smallint NOT NULL DEFAULT 0, ADD COLUMN actor text,"
        " DROP CONSTRAINT commission_step_pkey, ADD PRIMARY KEY (conversion_id, version, n)"
    )
    op.execute(
        "CREATE INDEX commission_withheld ON commission (recorded_at DESC, commission_id DESC)"
        " WHERE status IN ('over_cap', 'held')"
    )


def downgrade() -> None:
    """Remove them; every grant stays in the steps. Refused by the key where finance has made a step of its own."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE commission_step DROP CONSTRAINT commission_step_pkey, DROP COLUMN n, DROP COLUMN actor,"
        " ADD PRIMARY KEY (conversion_id, version)"
    )
    op.execute("DROP INDEX commission_withheld")
    op.execute(
        "ALTER TABLE commission DROP COLUMN grants, DROP COLUMN target_commission_minor,"
        " DROP COLUMN target_margin_minor"
    )
    op.execute("DROP TABLE cap_usage")
