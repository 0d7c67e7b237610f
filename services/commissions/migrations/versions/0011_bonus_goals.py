"""Goals whose reaching earns a bonus at a month's end."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table: a goal is never changed, only ended."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE bonus_goal (
            goal_id uuid PRIMARY KEY,
            offer_id integer NOT NULL,
            merchant_id integer NOT NULL,
            affiliate_id integer,
            conversions integer CHECK (conversions > 0),
            revenue_minor bigint CHECK (revenue_minor > 0),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency char(3) NOT NULL,
            paid_by text NOT NULL CHECK (paid_by IN ('merchant', 'network')),
            reason_code text NOT NULL,
            first_period char(7) NOT NULL,
            last_period char(7),
            recorded_at timestamptz NOT NULL,
            actor text NOT NULL,
            CHECK ((conversions IS NULL) <> (revenue_minor IS NULL))
        )
        """
    )
    op.execute("ALTER TABLE bonus_goal ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE bonus_goal FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY tenant ON bonus_goal TO commissions_api USING ("
        " merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
        " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
        " OR (affiliate_id IS NULL AND nullif(current_setting('app.affiliate_id', true), '') IS NOT NULL))"
        " WITH CHECK (false)"
    )
    op.execute(
        "CREATE POLICY everything ON bonus_goal TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON bonus_goal TO commissions_api, commissions_staff, commissions_worker")
    op.execute("GRANT INSERT, UPDATE (last_period) ON bonus_goal TO commissions_staff")


def downgrade() -> None:
    """Remove it; bonuses that were paid stay."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE bonus_goal")
