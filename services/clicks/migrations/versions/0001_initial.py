"""The click log in monthly partitions, and the runtime's tables."""

from alembic import op

from shared.runtime.schema import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE click (
        click_id bytea NOT NULL CHECK (octet_length(click_id) = 35),
        clicked_at timestamptz NOT NULL,
        offer_id integer NOT NULL,
        offer_version integer NOT NULL,
        affiliate_id integer NOT NULL,
        merchant_id integer NOT NULL,
        flags integer NOT NULL,
        subs jsonb NOT NULL,
        aff_click_id text,
        source text,
        creative text,
        ad_click_ids jsonb NOT NULL,
        deep_link text,
        referrer_host text,
        user_agent text,
        ip_hash text,
        visitor_key text,
        consent boolean,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (click_id, clicked_at)
    ) PARTITION BY RANGE (clicked_at)
    """,
    "CREATE INDEX click_of_affiliate ON click (affiliate_id, clicked_at DESC, click_id DESC)",
    "CREATE INDEX click_newest ON click (clicked_at DESC, click_id DESC)",
    "ALTER TABLE click ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE click FORCE ROW LEVEL SECURITY",
    """
    CREATE POLICY tenant ON click TO clicks_api
    USING (merchant_id = nullif(current_setting('app.merchant_id', true), '')::int
           OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int)
    WITH CHECK (merchant_id = nullif(current_setting('app.merchant_id', true), '')::int
                OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int)
    """,
    "CREATE POLICY everything ON click TO clicks_staff, clicks_intake, clicks_worker, clicks_migrate"
    " USING (true) WITH CHECK (true)",
    "GRANT SELECT ON click TO clicks_api, clicks_staff",
    "GRANT SELECT, INSERT ON click TO clicks_worker",
)

# The worker may not create tables. This function may, and creates nothing but the month of an instant that a click ID
# can hold. Partitions are read through `click` only: directly nobody sees a row of theirs.
_PARTITIONS = (
    """
    CREATE FUNCTION ensure_click_partition(instant timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET lock_timeout = '5s' AS $$
    DECLARE
        first_day date := date_trunc('month', instant);
        partition_name text := 'click_' || to_char(first_day, 'YYYY_MM');
    BEGIN
        IF instant < '2020-01-01T00:00:00Z' OR instant >= '2055-01-01T00:00:00Z' THEN
            RAISE EXCEPTION 'no click ID holds this time' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF to_regclass('public.' || partition_name) IS NOT NULL THEN
            RETURN;
        END IF;
        PERFORM pg_advisory_xact_lock(7406232);
        IF to_regclass('public.' || partition_name) IS NOT NULL THEN
            RETURN;
        END IF;
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.click FOR VALUES FROM (%L) TO (%L)',
            partition_name, first_day::timestamptz, (first_day + interval '1 month')::timestamptz);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition_name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', partition_name);
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION ensure_click_partition(timestamptz) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION ensure_click_partition(timestamptz) TO clicks_worker",
)


def upgrade() -> None:
    """Create everything."""
    create_runtime_tables(op, service="clicks")
    for statement in (*_TABLES, *_PARTITIONS):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything, clicks included."""
    op.execute("DROP FUNCTION ensure_click_partition(timestamptz)")
    op.execute("DROP TABLE click")
    drop_runtime_tables(op, service="clicks")
