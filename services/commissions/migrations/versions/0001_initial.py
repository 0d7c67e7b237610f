"""The ledger and its guards, the chain of blocks, commissions, and the runtime's tables."""

from alembic import op

from shared.runtime.schema import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LEDGER = (
    """
    CREATE TABLE ledger_transaction (
        transaction_id uuid PRIMARY KEY,
        posting_id uuid NOT NULL,
        kind text NOT NULL,
        commission_id uuid,
        conversion_id uuid,
        conversion_version integer,
        offer_id integer,
        offer_version integer,
        reverses uuid REFERENCES ledger_transaction,
        occurred_at timestamptz NOT NULL,
        reason_code text,
        xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        UNIQUE (transaction_id, xid)
    )
    """,
    "CREATE INDEX ledger_transaction_posting ON ledger_transaction (posting_id)",
    "CREATE INDEX ledger_transaction_commission ON ledger_transaction (commission_id)",
    """
    CREATE TABLE ledger_entry (
        transaction_id uuid NOT NULL,
        n smallint NOT NULL CHECK (n BETWEEN 1 AND 16),
        account text NOT NULL,
        merchant_id integer,
        affiliate_id integer,
        currency char(3) NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
        payable_at timestamptz,
        xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        PRIMARY KEY (transaction_id, n),
        FOREIGN KEY (transaction_id, xid) REFERENCES ledger_transaction (transaction_id, xid),
        CHECK (merchant_id IS NULL OR affiliate_id IS NULL)
    )
    """,
    "CREATE INDEX ledger_entry_affiliate ON ledger_entry (affiliate_id, currency) WHERE affiliate_id IS NOT NULL",
    "CREATE INDEX ledger_entry_merchant ON ledger_entry (merchant_id, currency) WHERE merchant_id IS NOT NULL",
    "CREATE INDEX ledger_entry_account ON ledger_entry (account, currency)",
    """
    CREATE TABLE block (
        number bigint PRIMARY KEY CHECK (number >= 1),
        posting_id uuid NOT NULL UNIQUE,
        booked_at timestamptz NOT NULL,
        previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
        entries_hash bytea NOT NULL CHECK (octet_length(entries_hash) = 32),
        hash bytea NOT NULL CHECK (octet_length(hash) = 32),
        xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint
    )
    """,
    "CREATE INDEX block_booked ON block (booked_at)",
    """
    CREATE TABLE period_close (
        period char(7) PRIMARY KEY,
        block_number bigint NOT NULL,
        closed_at timestamptz NOT NULL
    )
    """,
)

# Each guard holds whatever the application does: row triggers that look things up can be fooled under row-level
# security, a transition table cannot.
_GUARDS = (
    """
    CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    DECLARE bad uuid;
    BEGIN
        SELECT transaction_id INTO bad FROM new_entries GROUP BY transaction_id, currency
        HAVING sum(amount_minor) <> 0 LIMIT 1;
        IF found THEN
            RAISE EXCEPTION 'ledger transaction % does not sum to zero', bad USING errcode = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER balanced AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS new_entries"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced()",
    """
    CREATE FUNCTION refuse_empty() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM ledger_entry WHERE transaction_id = NEW.transaction_id)
           OR NOT EXISTS (SELECT 1 FROM block WHERE posting_id = NEW.posting_id AND xid = NEW.xid) THEN
            RAISE EXCEPTION 'ledger transaction % has no entries or no block of its own', NEW.transaction_id
            USING errcode = 'check_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    "CREATE CONSTRAINT TRIGGER whole AFTER INSERT ON ledger_transaction DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION refuse_empty()",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING errcode = 'insufficient_privilege';
    END $$
    """,
    *(
        f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in ("ledger_transaction", "ledger_entry", "block", "period_close", "commission_step")
    ),
)

_COMMISSIONS = (
    """
    CREATE TABLE applied_conversion (
        conversion_id uuid PRIMARY KEY,
        last_version integer NOT NULL CHECK (last_version >= 0),
        status text NOT NULL
    )
    """,
    """
    CREATE TABLE commission (
        commission_id uuid PRIMARY KEY,
        conversion_id uuid NOT NULL UNIQUE,
        affiliate_id integer NOT NULL,
        merchant_id integer NOT NULL,
        offer_id integer NOT NULL,
        offer_version integer NOT NULL,
        conversion_event text NOT NULL,
        status text NOT NULL,
        term jsonb NOT NULL,
        net_minor bigint,
        net_currency char(3),
        currency char(3) NOT NULL,
        commission_minor bigint NOT NULL CHECK (commission_minor >= 0),
        margin_minor bigint NOT NULL CHECK (margin_minor >= 0),
        payable_at timestamptz,
        accrual_id uuid,
        click_id text,
        order_id text,
        subs jsonb NOT NULL,
        aff_click_id text,
        recorded_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        CHECK ((net_minor IS NULL) = (net_currency IS NULL))
    )
    """,
    "CREATE INDEX commission_affiliate ON commission (affiliate_id, recorded_at DESC, commission_id DESC)",
    "CREATE INDEX commission_merchant ON commission (merchant_id, recorded_at DESC, commission_id DESC)",
    "CREATE INDEX commission_newest ON commission (recorded_at DESC, commission_id DESC)",
    """
    CREATE TABLE commission_step (
        conversion_id uuid NOT NULL,
        version integer NOT NULL,
        commission_id uuid,
        merchant_id integer NOT NULL,
        affiliate_id integer,
        event_id uuid NOT NULL,
        change text NOT NULL,
        status text NOT NULL,
        reason_code text,
        net_before_minor bigint,
        net_after_minor bigint,
        commission_before_minor bigint NOT NULL,
        commission_after_minor bigint NOT NULL,
        margin_before_minor bigint NOT NULL,
        margin_after_minor bigint NOT NULL,
        currency char(3),
        transaction_ids uuid[] NOT NULL,
        occurred_at timestamptz NOT NULL,
        payload bytea NOT NULL,
        PRIMARY KEY (conversion_id, version)
    )
    """,
    "CREATE INDEX commission_step_commission ON commission_step (commission_id, version)",
    """
    CREATE TABLE parked_event (
        conversion_id uuid NOT NULL,
        version integer NOT NULL,
        payload bytea NOT NULL,
        reason text NOT NULL CHECK (reason IN ('version_gap', 'offer_version_missing', 'refused')),
        offer_id integer,
        offer_version integer,
        parked_at timestamptz NOT NULL,
        PRIMARY KEY (conversion_id, version)
    )
    """,
    "CREATE INDEX parked_event_offer ON parked_event (offer_id, offer_version) WHERE reason = 'offer_version_missing'",
)

_OWN_ROW = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)
# `+ 0` keeps this policy off the party indexes: nested in the headers' policy it would read all of a party's entries
# for each header (a statement of 100,000 lines then takes minutes). Queries name their party and use the index.
_OWN_ENTRY = _OWN_ROW.replace("_id = ", "_id + 0 = ")
_HEADER_OF_OWN_ENTRY = (
    "EXISTS (SELECT 1 FROM ledger_entry AS entry WHERE entry.transaction_id = ledger_transaction.transaction_id)"
)
_INSERTABLE = {
    "ledger_transaction": "transaction_id, posting_id, kind, commission_id, conversion_id, conversion_version,"
    " offer_id, offer_version, reverses, occurred_at, reason_code",
    "ledger_entry": "transaction_id, n, account, merchant_id, affiliate_id, currency, amount_minor, payable_at",
    "block": "number, posting_id, booked_at, previous_hash, entries_hash, hash",
}


def _tenancy() -> list[str]:
    statements = []
    for table, visible in (
        ("ledger_entry", _OWN_ENTRY),
        ("ledger_transaction", _HEADER_OF_OWN_ENTRY),
        ("commission", _OWN_ROW),
        ("commission_step", _OWN_ROW),
    ):
        statements += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON {table} TO commissions_api USING ({visible}) WITH CHECK (false)",
            f"CREATE POLICY everything ON {table} TO commissions_staff, commissions_worker, commissions_migrate"
            " USING (true) WITH CHECK (true)",
        ]
    return statements


_GRANTS = (
    "GRANT SELECT ON ledger_transaction, ledger_entry, commission, commission_step, block, period_close"
    " TO commissions_api, commissions_staff, commissions_worker",
    *(
        f"GRANT INSERT ({columns}) ON {table} TO commissions_worker, commissions_staff"
        for table, columns in _INSERTABLE.items()
    ),
    "GRANT INSERT ON period_close TO commissions_worker, commissions_staff",
    "GRANT INSERT, UPDATE ON commission, applied_conversion TO commissions_worker, commissions_staff",
    "GRANT INSERT ON commission_step TO commissions_worker, commissions_staff",
    "GRANT SELECT ON applied_conversion, parked_event TO commissions_worker, commissions_staff",
    "GRANT INSERT, UPDATE, DELETE ON parked_event TO commissions_worker, commissions_staff",
)


def upgrade() -> None:
    """Create everything, with tenancy from the first row on."""
    op.execute("SET lock_timeout = '5s'")
    for statement in (*_LEDGER, *_COMMISSIONS, *_GUARDS, *_tenancy(), *_GRANTS):
        op.execute(statement)
    create_runtime_tables(op, "commissions")


def downgrade() -> None:
    """Remove everything; the ledger is lost."""
    op.execute("SET lock_timeout = '5s'")
    drop_runtime_tables(op, "commissions")
    op.execute(
        "DROP TABLE parked_event, commission_step, commission, applied_conversion, period_close, block,"
        " ledger_entry, ledger_transaction"
    )
    op.execute("DROP FUNCTION refuse_unbalanced, refuse_empty, refuse_change")
