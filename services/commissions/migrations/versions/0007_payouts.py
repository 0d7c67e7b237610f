"""Payouts: how each affiliate wants to be paid, who is stopped, runs with their lines, files and settlements."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE payout_settings (
        affiliate_id integer NOT NULL,
        version integer NOT NULL CHECK (version >= 1),
        settings_id uuid NOT NULL UNIQUE,
        currency char(3) NOT NULL,
        threshold_minor bigint NOT NULL CHECK (threshold_minor >= 0),
        frequency text NOT NULL,
        weekday text,
        net_days integer NOT NULL CHECK (net_days BETWEEN 0 AND 120),
        method text NOT NULL,
        country char(2) NOT NULL,
        sealed_details bytea NOT NULL,
        masked jsonb NOT NULL,
        details_changed_at timestamptz NOT NULL,
        held_until timestamptz,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (affiliate_id, version)
    )
    """,
    """
    CREATE TABLE payout_stop (
        affiliate_id integer PRIMARY KEY,
        reason_code text NOT NULL,
        stopped_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE payout_run (
        run_id uuid PRIMARY KEY,
        currency char(3) NOT NULL,
        method text NOT NULL,
        up_to date NOT NULL,
        block_number bigint NOT NULL,
        state text NOT NULL,
        payer jsonb,
        drafted_at timestamptz NOT NULL,
        drafted_by text NOT NULL,
        approved_at timestamptz,
        approved_by text,
        exported_at timestamptz,
        exported_by text,
        CHECK (drafted_by <> approved_by)
    )
    """,
    "CREATE INDEX payout_run_newest ON payout_run (drafted_at DESC, run_id DESC)",
    """
    CREATE TABLE payout_line (
        run_id uuid NOT NULL REFERENCES payout_run,
        affiliate_id integer NOT NULL,
        line_id uuid NOT NULL UNIQUE,
        currency char(3) NOT NULL,
        method text NOT NULL,
        state text NOT NULL,
        reason_code text,
        drafted_minor bigint NOT NULL,
        amount_minor bigint NOT NULL,
        settings_version integer,
        up_to date NOT NULL,
        exported_at timestamptz,
        answered_on date,
        bank_reference text,
        PRIMARY KEY (run_id, affiliate_id),
        FOREIGN KEY (affiliate_id, settings_version) REFERENCES payout_settings (affiliate_id, version),
        CHECK (state NOT IN ('draft', 'approved', 'exported', 'settled', 'returned') OR amount_minor > 0)
    )
    """,
    # What is owed to an affiliate in a currency stands in one open run at most.
    "CREATE UNIQUE INDEX payout_line_open ON payout_line (affiliate_id, currency) WHERE state IN ('draft', 'approved')",
    "CREATE INDEX payout_line_affiliate ON payout_line (affiliate_id, exported_at DESC, line_id DESC)"
    " WHERE exported_at IS NOT NULL",
    """
    CREATE TABLE payout_part (
        run_id uuid NOT NULL,
        affiliate_id integer NOT NULL,
        commission_id uuid NOT NULL,
        amount_minor bigint NOT NULL CHECK (amount_minor > 0),
        PRIMARY KEY (commission_id, run_id),
        FOREIGN KEY (run_id, affiliate_id) REFERENCES payout_line (run_id, affiliate_id)
    )
    """,
    "CREATE INDEX payout_part_line ON payout_part (run_id, affiliate_id)",
    """
    CREATE TABLE payout_file (
        run_id uuid NOT NULL REFERENCES payout_run,
        format text NOT NULL,
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        size_bytes integer NOT NULL,
        PRIMARY KEY (run_id, format)
    )
    """,
    """
    CREATE TABLE payout_answer (
        run_id uuid NOT NULL REFERENCES payout_run,
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        counts jsonb NOT NULL,
        received_at timestamptz NOT NULL,
        PRIMARY KEY (run_id, sha256)
    )
    """,
)
_OWN = "affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
_VISIBLE = {
    "payout_settings": _OWN,
    "payout_stop": _OWN,
    "payout_line": f"{_OWN} AND exported_at IS NOT NULL",
    "payout_part": _OWN,
}
_TENANTLESS = ("payout_run", "payout_file", "payout_answer")
_LATER_COLUMNS = {
    "payout_settings": "sealed_details, held_until",
    "payout_run": "state, payer, approved_at, approved_by, exported_at, exported_by",
    "payout_line": "state, reason_code, amount_minor, settings_version, exported_at, answered_on, bank_reference",
}
_GROW_ONLY = ("payout_part", "payout_file", "payout_answer")
_GRANTS = (
    "GRANT SELECT ON payout_settings, payout_line, payout_part TO commissions_api",
    "GRANT INSERT ON payout_settings TO commissions_api",
    "GRANT SELECT, INSERT ON payout_settings, payout_stop, payout_run, payout_line, payout_part, payout_file,"
    " payout_answer TO commissions_staff",
    "GRANT DELETE ON payout_stop TO commissions_staff",
    *(f"GRANT UPDATE ({columns}) ON {table} TO commissions_staff" for table, columns in _LATER_COLUMNS.items()),
    "GRANT SELECT ON payout_line, payout_part TO commissions_worker",
)


def upgrade() -> None:
    """Create everything, with tenancy from the first row on."""
    op.execute("SET lock_timeout = '5s'")
    for statement in _TABLES:
        op.execute(statement)
    for table in (*_VISIBLE, *_TENANTLESS):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY everything ON {table} TO commissions_staff, commissions_worker, commissions_migrate"
            " USING (true) WITH CHECK (true)"
        )
    for table, visible in _VISIBLE.items():
        op.execute(f"CREATE POLICY tenant ON {table} TO commissions_api USING ({visible}) WITH CHECK ({visible})")
    for table in _GROW_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for grant in _GRANTS:
        op.execute(grant)


def downgrade() -> None:
    """Drop everything: who was paid by what stays in the ledger, where to does not."""
    op.execute("SET lock_timeout = '5s'")
    op.execute(
        "DROP TABLE payout_answer, payout_file, payout_part, payout_line, payout_run, payout_stop, payout_settings"
    )
