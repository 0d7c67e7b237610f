"""Exchange rates with their source and day: rows are added, and never changed (ADR 0014)."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. No tenant's: staff records, the worker reads."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE exchange_rate (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            base char(3) NOT NULL,
            quote char(3) NOT NULL,
            rate numeric NOT NULL CHECK (rate > 0 AND rate < 1e12),
            source text NOT NULL CHECK (source ~ '^[a-z][a-z0-9_-]{0,31}$'),
            as_of date NOT NULL,
            import_id uuid NOT NULL,
            imported_at timestamptz NOT NULL,
            actor text NOT NULL,
            reason_code text,
            CHECK (base <> quote)
        )
        """
    )
    op.execute("CREATE INDEX exchange_rate_day ON exchange_rate (as_of, base, quote, number DESC)")
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exchange_rate"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("ALTER TABLE exchange_rate ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE exchange_rate FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY everything ON exchange_rate TO commissions_staff, commissions_worker, commissions_migrate"
        " USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON exchange_rate TO commissions_staff, commissions_worker")
    op.execute(
        "GRANT INSERT (base, quote, rate, source, as_of, import_id, imported_at, actor, reason_code)"
        " ON exchange_rate TO commissions_staff"
    )


def downgrade() -> None:
    """Remove the rates; those that postings used stay frozen on them."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE exchange_rate")
