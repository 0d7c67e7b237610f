"""Which closed months are settled: tiers trued up, second levels paid."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; months that were closed before had neither, and count as settled."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("CREATE TABLE month_end (period char(7) PRIMARY KEY, settled_at timestamptz NOT NULL)")
    op.execute("INSERT INTO month_end (period, settled_at) SELECT period, closed_at FROM period_close")
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON month_end"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("CREATE INDEX finance_act_cohort ON finance_act ((inputs ->> 'cohort')) WHERE inputs ? 'cohort'")
    op.execute("ALTER TABLE month_end ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE month_end FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY everything ON month_end TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON month_end TO commissions_staff")
    op.execute("GRANT SELECT, INSERT ON month_end TO commissions_worker")


def downgrade() -> None:
    """Remove it; what was posted stays."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP INDEX finance_act_cohort")
    op.execute("DROP TABLE month_end")
