"""Finance acts, which post what no conversion caused, and the decisions beside a conversion's version."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the acts and the column."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("ALTER TABLE commission_step ADD COLUMN decisions jsonb NOT NULL DEFAULT '{}'")
    op.execute(
        """
        CREATE TABLE finance_act (
            act_id uuid PRIMARY KEY,
            kind text NOT NULL,
            inputs jsonb NOT NULL,
            actor text NOT NULL,
            occurred_at timestamptz NOT NULL,
            reason_code text,
            transaction_ids uuid[] NOT NULL
        )
        """
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON finance_act"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("ALTER TABLE finance_act ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE finance_act FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY everything ON finance_act TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT, INSERT ON finance_act TO commissions_staff, commissions_worker")


def downgrade() -> None:
    """Remove the acts; what they posted stays in the ledger without its inputs."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE finance_act")
    op.execute("ALTER TABLE commission_step DROP COLUMN decisions")
