"""Bulk jobs: many conversions approved, rejected, reversed or adjusted, row by row."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OWN = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_ALL = "conversions_staff, conversions_intake, conversions_worker, conversions_migrate"
_TABLES = (
    """
    CREATE TABLE bulk_job (
        id uuid PRIMARY KEY,
        merchant_id integer,
        role text NOT NULL CHECK (role IN ('merchant', 'admin')),
        key_id text NOT NULL,
        content_hash bytea NOT NULL,
        row_count integer NOT NULL CHECK (row_count > 0),
        requested_at timestamptz NOT NULL,
        worked_at timestamptz NOT NULL,
        next_row integer NOT NULL CHECK (next_row > 0),
        done integer NOT NULL,
        already integer NOT NULL,
        refused integer NOT NULL,
        finished_at timestamptz,
        CHECK (role = 'admin' OR merchant_id IS NOT NULL),
        CHECK (finished_at IS NULL OR done + already + refused = row_count)
    )
    """,
    "CREATE INDEX bulk_job_open ON bulk_job (worked_at, id) WHERE finished_at IS NULL",
    "CREATE INDEX bulk_job_age ON bulk_job (requested_at)",
    """
    CREATE TABLE bulk_row (
        job_id uuid NOT NULL REFERENCES bulk_job ON DELETE CASCADE,
        number integer NOT NULL,
        merchant_id integer,
        ref text NOT NULL,
        event text,
        action text CHECK (action IN ('approve', 'reject', 'reverse', 'adjust')),
        reason_code text,
        adjustment_id text,
        new_amount_minor bigint,
        refund_amount_minor bigint,
        currency text,
        outcome text CHECK (outcome IN ('done', 'already', 'refused')),
        code text,
        field text,
        conversion_id uuid,
        status text,
        PRIMARY KEY (job_id, number),
        CHECK (action IS NOT NULL OR outcome = 'refused'),
        CHECK ((outcome = 'refused') IS NOT TRUE OR code IS NOT NULL)
    )
    """,
)
_TENANCY = tuple(
    statement
    for table in ("bulk_job", "bulk_row")
    for statement in (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO conversions_api USING ({_OWN}) WITH CHECK ({_OWN})",
        f"CREATE POLICY everything ON {table} TO {_ALL} USING (true) WITH CHECK (true)",
        f"GRANT SELECT, INSERT ON {table} TO conversions_api, conversions_staff",
        f"GRANT SELECT, DELETE ON {table} TO conversions_worker",
    )
)
_WORKER = (
    "GRANT SELECT, INSERT ON adjustment TO conversions_worker",
    "GRANT UPDATE (next_row, done, already, refused, worked_at, finished_at) ON bulk_job TO conversions_worker",
    "GRANT UPDATE (outcome, code, field, conversion_id, status) ON bulk_row TO conversions_worker",
)


def upgrade() -> None:
    """Create the jobs and their rows."""
    op.execute("SET lock_timeout = '5s'")
    for statement in (*_TABLES, *_TENANCY, *_WORKER):
        op.execute(statement)


def downgrade() -> None:
    """Drop them; what they did stays, what they had still to do is not done."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE bulk_row, bulk_job")
    op.execute("REVOKE SELECT, INSERT ON adjustment FROM conversions_worker")
