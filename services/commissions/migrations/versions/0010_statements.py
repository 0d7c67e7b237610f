"""Tax settings, numbered statements, those that are void, and the hash of each of their files. All only grow."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OWN = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)
_PARTY = "CHECK ((merchant_id IS NULL) <> (affiliate_id IS NULL))"
_TABLES = (
    f"""
    CREATE TABLE tax_settings (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        merchant_id integer,
        affiliate_id integer,
        valid_from date NOT NULL,
        settings jsonb NOT NULL,
        actor text NOT NULL,
        recorded_at timestamptz NOT NULL,
        {_PARTY}
    )
    """,
    "CREATE INDEX tax_settings_affiliate ON tax_settings (affiliate_id, valid_from, id) WHERE affiliate_id IS NOT NULL",
    "CREATE INDEX tax_settings_merchant ON tax_settings (merchant_id, valid_from, id) WHERE merchant_id IS NOT NULL",
    f"""
    CREATE TABLE statement (
        number text PRIMARY KEY,
        series text NOT NULL,
        n integer NOT NULL CHECK (n >= 1),
        merchant_id integer,
        affiliate_id integer,
        period char(7) NOT NULL REFERENCES period_close,
        currency char(3) NOT NULL,
        block_number bigint NOT NULL,
        replaces text UNIQUE REFERENCES statement,
        particulars jsonb NOT NULL,
        opening_minor numeric NOT NULL,
        closing_minor numeric NOT NULL,
        net_minor numeric,
        vat_minor numeric,
        finalised_at timestamptz NOT NULL,
        UNIQUE (series, n),
        {_PARTY}
    )
    """,
    "CREATE UNIQUE INDEX statement_first ON statement"
    " (coalesce(merchant_id, 0), coalesce(affiliate_id, 0), currency, period) WHERE replaces IS NULL",
    "CREATE INDEX statement_period ON statement (period)",
    f"""
    CREATE TABLE statement_void (
        number text PRIMARY KEY REFERENCES statement,
        replaced_by text NOT NULL UNIQUE REFERENCES statement,
        merchant_id integer,
        affiliate_id integer,
        reason_code text NOT NULL,
        actor text NOT NULL,
        voided_at timestamptz NOT NULL,
        {_PARTY}
    )
    """,
    f"""
    CREATE TABLE statement_file (
        number text NOT NULL REFERENCES statement,
        form text NOT NULL CHECK (form IN ('json', 'csv', 'xlsx', 'pdf')),
        merchant_id integer,
        affiliate_id integer,
        sha256 bytea CHECK (octet_length(sha256) = 32),
        bytes bigint NOT NULL,
        PRIMARY KEY (number, form),
        {_PARTY}
    )
    """,
    """
    CREATE TABLE statement_sweep (
        period char(7) PRIMARY KEY REFERENCES period_close,
        finished_at timestamptz NOT NULL
    )
    """,
)
_NAMES = ("tax_settings", "statement", "statement_void", "statement_file")


def upgrade() -> None:
    """Create them, with tenancy from the first row on."""
    op.execute("SET lock_timeout = '5s'")
    for statement in _TABLES:
        op.execute(statement)
    for name in (*_NAMES, "statement_sweep"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for name in _NAMES:
        op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {name} TO commissions_api USING ({_OWN}) WITH CHECK (false)")
        op.execute(
            f"CREATE POLICY everything ON {name} TO commissions_staff, commissions_worker, commissions_migrate"
            " USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT ON {name} TO commissions_api, commissions_staff, commissions_worker")
    op.execute(
        "GRANT INSERT (merchant_id, affiliate_id, valid_from, settings, actor, recorded_at) ON tax_settings"
        " TO commissions_staff"
    )
    op.execute("GRANT INSERT ON statement TO commissions_staff, commissions_worker")
    op.execute("GRANT INSERT ON statement_void TO commissions_staff")
    op.execute("GRANT INSERT ON statement_file TO commissions_worker")
    op.execute("GRANT SELECT, INSERT ON statement_sweep TO commissions_worker")


def downgrade() -> None:
    """Drop them: numbers that were given are lost, and would be given again."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE statement_sweep, statement_file, statement_void, statement, tax_settings")
