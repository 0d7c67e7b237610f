"""Merchants' payments and what they chose for their prepaid balances."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OWN = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_TABLES = (
    """
    CREATE TABLE merchant_payment (
        payment_id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        currency char(3) NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
        received_on date NOT NULL,
        reference text NOT NULL CHECK (length(reference) BETWEEN 1 AND 140),
        reverses uuid UNIQUE REFERENCES merchant_payment,
        reason_code text,
        recorded_at timestamptz NOT NULL,
        actor text NOT NULL,
        CHECK ((amount_minor < 0) = (reverses IS NOT NULL)),
        UNIQUE (merchant_id, currency, received_on, reference, amount_minor)
    )
    """,
    "CREATE INDEX merchant_payment_newest ON merchant_payment (merchant_id, payment_id DESC)",
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON merchant_payment"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    """
    CREATE TABLE prefunding (
        merchant_id integer NOT NULL,
        currency char(3) NOT NULL,
        low_balance_minor bigint NOT NULL CHECK (low_balance_minor >= 0),
        pauses_at_zero boolean NOT NULL,
        state text NOT NULL CHECK (state IN ('ok', 'low', 'exhausted')),
        available_minor numeric NOT NULL,
        block_number bigint NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (merchant_id, currency)
    )
    """,
)


def upgrade() -> None:
    """Create both, each row its merchant's own."""
    op.execute("SET lock_timeout = '5s'")
    for statement in _TABLES:
        op.execute(statement)
    for table in ("merchant_payment", "prefunding"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        written = "false" if table == "merchant_payment" else _OWN
        op.execute(f"CREATE POLICY tenant ON {table} TO commissions_api USING ({_OWN}) WITH CHECK ({written})")
        op.execute(
            f"CREATE POLICY everything ON {table} TO commissions_staff, commissions_worker, commissions_migrate"
            " USING (true) WITH CHECK (true)"
        )
    op.execute("GRANT SELECT ON merchant_payment TO commissions_api, commissions_staff, commissions_worker")
    op.execute("GRANT INSERT ON merchant_payment TO commissions_staff")
    op.execute("GRANT SELECT, INSERT ON prefunding TO commissions_api, commissions_staff")
    op.execute("GRANT SELECT, INSERT ON prefunding TO commissions_worker")
    op.execute(
        "GRANT UPDATE (low_balance_minor, pauses_at_zero, state, available_minor, block_number, version, changed_at)"
        " ON prefunding TO commissions_api, commissions_staff, commissions_worker"
    )


def downgrade() -> None:
    """Remove both; the payments stay in the ledger."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE prefunding, merchant_payment")
