"""Receipts by month of their id, so that they can expire; what sweeps may delete; erasures and their tombstones."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OWN = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_READERS = "conversions_staff, conversions_intake, conversions_worker, conversions_migrate"
_COLUMNS = """
    (
        id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        received_at timestamptz NOT NULL,
        transport text NOT NULL,
        credential_id text,
        request_id text NOT NULL,
        http_status integer NOT NULL,
        outcome integer NOT NULL,
        conversion_id uuid,
        status text,
        duplicate boolean NOT NULL,
        repeats_receipt_id uuid,
        event text,
        order_id text,
        adjustment_id text,
        click_id text,
        errors jsonb NOT NULL
    )
"""
# A receipt's id begins with its time (UUIDv7): a month of receipts is a range of ids, the primary key stays the id
# alone, and a page, newest first, reads one partition after the other.
_FIRST_ID = """
    CREATE FUNCTION first_id_of(instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp AS $$
        SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    $$
"""
_ENSURE = """
    CREATE FUNCTION ensure_receipt_month(instant timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET lock_timeout = '500ms' AS $$
    DECLARE
        first_day timestamptz := date_trunc('month', instant);
        lowest uuid := first_id_of(first_day);
        end_id uuid := first_id_of(first_day + interval '1 month');
        partition_name text := 'receipt_' || to_char(first_day, 'YYYY_MM');
    BEGIN
        IF to_regclass('public.' || partition_name) IS NOT NULL THEN
            RETURN;
        END IF;
        LOCK TABLE receipt IN SHARE ROW EXCLUSIVE MODE;
        IF to_regclass('public.' || partition_name) IS NOT NULL THEN
            RETURN;
        END IF;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.receipt INCLUDING ALL)', partition_name);
        EXECUTE format('WITH moved AS (DELETE FROM public.receipt WHERE id >= %L AND id < %L RETURNING *)'
            ' INSERT INTO public.%I SELECT * FROM moved', lowest, end_id, partition_name);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition_name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', partition_name);
        EXECUTE format('ALTER TABLE public.receipt ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition_name, lowest, end_id);
    END
    $$
"""
# "Younger" is asked of the receipts themselves: whatever a clock did to the ids, nothing that must stay goes.
_DROP = """
    CREATE FUNCTION drop_receipt_month_before(cutoff timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET lock_timeout = '500ms' AS $$
    DECLARE
        partition_name text;
        first_day timestamptz;
    BEGIN
        FOR partition_name IN
            SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'public.receipt'::regclass AND relname ~ '^receipt_[0-9]{4}_[0-9]{2}$' ORDER BY relname
        LOOP
            first_day := to_date(substr(partition_name, 9), 'YYYY_MM');
            EXIT WHEN first_day + interval '1 month' > cutoff;
            CONTINUE WHEN EXISTS (SELECT FROM receipt WHERE id >= first_id_of(first_day)
                AND id < first_id_of(first_day + interval '1 month') AND received_at >= cutoff);
            EXECUTE format('DROP TABLE public.%I', partition_name);
            RETURN partition_name;
        END LOOP;
        RETURN NULL;
    END
    $$
"""
_PARTITIONED = (
    "ALTER TABLE receipt RENAME TO receipt_before",
    "ALTER INDEX receipt_pkey RENAME TO receipt_before_pkey",
    "ALTER INDEX receipt_of_merchant RENAME TO receipt_before_of_merchant",
    f"CREATE TABLE receipt {_COLUMNS} PARTITION BY RANGE (id)",
    "CREATE INDEX receipt_of_merchant ON receipt (merchant_id, id DESC)",
    "CREATE TABLE receipt_other PARTITION OF receipt DEFAULT",
    "ALTER TABLE receipt_other ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE receipt_other FORCE ROW LEVEL SECURITY",
)
_UNPARTITIONED = (
    "ALTER TABLE receipt RENAME TO receipt_before",
    "ALTER INDEX receipt_pkey RENAME TO receipt_before_pkey",
    "ALTER INDEX receipt_of_merchant RENAME TO receipt_before_of_merchant",
    f"CREATE TABLE receipt {_COLUMNS}",
    "CREATE INDEX receipt_of_merchant ON receipt (merchant_id, id DESC)",
)
_TENANCY = (
    "ALTER TABLE receipt ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE receipt FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON receipt TO conversions_api USING ({_OWN}) WITH CHECK ({_OWN})",
    f"CREATE POLICY everything ON receipt TO {_READERS} USING (true) WITH CHECK (true)",
    "GRANT INSERT ON receipt TO conversions_intake",
    "GRANT SELECT ON receipt TO conversions_api, conversions_staff",
)
_SWEPT = (
    "GRANT SELECT ON receipt TO conversions_worker",
    "REVOKE ALL ON FUNCTION ensure_receipt_month(timestamptz), drop_receipt_month_before(timestamptz) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION ensure_receipt_month(timestamptz), drop_receipt_month_before(timestamptz)"
    " TO conversions_worker",
    # Rows arrive in the order of their time: a few pages of index tell where the old ones are.
    "CREATE INDEX click_detail_age ON click_detail USING brin (recorded_at) WITH (pages_per_range = 32)",
    "GRANT DELETE ON click_detail TO conversions_worker",
    "GRANT SELECT, DELETE ON unauthenticated_postback, idempotency_key TO conversions_worker",
    "CREATE INDEX unauthenticated_postback_age ON unauthenticated_postback (received_at)",
    "CREATE INDEX idempotency_key_age ON idempotency_key (created_at)",
)
_ERASURES = (
    """
    CREATE TABLE erasure (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('click', 'customer')),
        reference_hash text NOT NULL UNIQUE,
        merchant_id integer,
        requested_by text NOT NULL,
        requested_at timestamptz NOT NULL,
        executed_at timestamptz,
        CHECK ((kind = 'customer') = (merchant_id IS NOT NULL))
    )
    """,
    "CREATE INDEX erasure_open ON erasure (id) WHERE executed_at IS NULL",
    """
    CREATE TABLE erased_click (
        click_id bytea NOT NULL CHECK (octet_length(click_id) = 35),
        erasure_id uuid NOT NULL REFERENCES erasure ON DELETE CASCADE,
        erased_at timestamptz NOT NULL,
        clicks_done_at timestamptz,
        PRIMARY KEY (click_id, erasure_id)
    )
    """,
    "CREATE INDEX erased_click_of_erasure ON erased_click (erasure_id)",
    "CREATE INDEX erased_click_age ON erased_click (erased_at)",
    """
    CREATE TABLE erased_customer (
        merchant_id integer NOT NULL,
        customer_id text NOT NULL,
        erased_at timestamptz NOT NULL,
        PRIMARY KEY (merchant_id, customer_id)
    )
    """,
    "CREATE INDEX erased_customer_age ON erased_customer (erased_at)",
    *(
        statement
        for table in ("erasure", "erased_customer")
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON {table} TO conversions_api USING ({_OWN}) WITH CHECK ({_OWN})",
            f"CREATE POLICY everything ON {table} TO {_READERS} USING (true) WITH CHECK (true)",
        )
    ),
    "GRANT SELECT, INSERT ON erasure, erased_click, erased_customer TO conversions_staff",
    "GRANT SELECT ON erased_click, erased_customer TO conversions_intake",
    "GRANT SELECT, DELETE ON erasure, erased_click, erased_customer TO conversions_worker",
    "GRANT UPDATE (executed_at) ON erasure TO conversions_worker",
    "GRANT INSERT, UPDATE (clicks_done_at) ON erased_click TO conversions_worker",
    # Found by every click and every customer, for erasure and for people; it was kept for clicks without details only.
    "DROP INDEX conversion_of_click",
    "CREATE INDEX conversion_of_click ON conversion (click_id) WHERE click_id IS NOT NULL",
    "CREATE INDEX conversion_of_customer ON conversion (merchant_id, customer_id) WHERE customer_id IS NOT NULL",
)
_COPY = "INSERT INTO receipt SELECT * FROM receipt_before"


def upgrade() -> None:
    """Partition receipts, keeping those there are, and add what retention and erasure need."""
    op.execute("SET lock_timeout = '5s'")
    for statement in (_FIRST_ID, *_PARTITIONED, *_TENANCY, _ENSURE, _DROP):
        op.execute(statement)
    op.execute("SELECT ensure_receipt_month(now()), ensure_receipt_month(now() + interval '1 month')")
    op.execute(_COPY)
    op.execute("DROP TABLE receipt_before")
    for statement in (*_SWEPT, *_ERASURES):
        op.execute(statement)


def downgrade() -> None:
    """One table of receipts again; erasures and tombstones are lost, so what was erased may come back by a replay."""
    op.execute("SET lock_timeout = '5s'")
    for statement in (*_UNPARTITIONED, *_TENANCY):
        op.execute(statement)
    op.execute(_COPY)
    op.execute("DROP TABLE receipt_before")
    op.execute("DROP FUNCTION ensure_receipt_month(timestamptz), drop_receipt_month_before(timestamptz)")
    op.execute("DROP FUNCTION first_id_of(timestamptz)")
    op.execute("DROP INDEX click_detail_age, unauthenticated_postback_age, idempotency_key_age")
    op.execute("REVOKE DELETE ON click_detail FROM conversions_worker")
    op.execute("REVOKE ALL ON unauthenticated_postback, idempotency_key FROM conversions_worker")
    op.execute("DROP TABLE erased_click, erased_customer, erasure")
    op.execute("DROP INDEX conversion_of_click, conversion_of_customer")
    op.execute(
        "CREATE INDEX conversion_of_click ON conversion (click_id) WHERE NOT has_details AND click_id IS NOT NULL"
    )
