"""Clicks expire by whole months, and can be erased: tombstones, the columns that go blank, the function that drops."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ERASABLE = (
    "subs, aff_click_id, source, creative, ad_click_ids, deep_link, referrer_host, user_agent, ip_hash, visitor_key"
)
_UP = (
    """
    CREATE TABLE erased_click (
        click_id bytea PRIMARY KEY CHECK (octet_length(click_id) = 35),
        erased_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX erased_click_age ON erased_click (erased_at)",
    "GRANT SELECT, INSERT, DELETE ON erased_click TO clicks_worker",
    f"GRANT UPDATE ({_ERASABLE}) ON click TO clicks_worker",
    # The worker may not drop tables. This function may, and drops nothing but the oldest month that lies wholly before
    # `cutoff`. It waits half a second for its lock at most: everything behind it waits as long.
    """
    CREATE FUNCTION drop_click_month_before(cutoff timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET lock_timeout = '500ms' AS $$
    DECLARE
        partition_name text;
    BEGIN
        SELECT relname INTO partition_name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'public.click'::regclass AND relname ~ '^click_[0-9]{4}_[0-9]{2}$'
        ORDER BY relname LIMIT 1;
        IF partition_name IS NULL
           OR to_date(substr(partition_name, 7), 'YYYY_MM') + interval '1 month' > cutoff THEN
            RETURN NULL;
        END IF;
        EXECUTE format('DROP TABLE public.%I', partition_name);
        RETURN partition_name;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION drop_click_month_before(timestamptz) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION drop_click_month_before(timestamptz) TO clicks_worker",
)


def upgrade() -> None:
    """Add what retention and erasure need."""
    op.execute("SET lock_timeout = '5s'")
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Take it away; the tombstones are lost."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP FUNCTION drop_click_month_before(timestamptz)")
    op.execute(f"REVOKE UPDATE ({_ERASABLE}) ON click FROM clicks_worker")
    op.execute("DROP TABLE erased_click")
