"""The tables and functions behind the limiter, for a migration of any service that limits callers.

The buckets belong to the functions: a door may call them and touch no row. Only PostgreSQL's clock counts.
"""

from typing import Final

from shared.runtime.schema import Operations

_TABLES: Final = (
    """
    CREATE TABLE limit_bucket (
        policy text NOT NULL CHECK (length(policy) <= 40),
        caller text NOT NULL CHECK (length(caller) <= 80),
        tokens double precision NOT NULL,
        refilled_at timestamptz NOT NULL,
        forget_at timestamptz NOT NULL,
        holders uuid[] NOT NULL DEFAULT '{}',
        held double precision[] NOT NULL DEFAULT '{}',
        held_until timestamptz[] NOT NULL DEFAULT '{}',
        PRIMARY KEY (policy, caller)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)
    """,
    "CREATE TABLE limit_holder (holder uuid PRIMARY KEY, seen_at timestamptz NOT NULL) WITH (fillfactor = 50)",
)

# tokens + everything that is out on live leases <= burst, always: so no stretch of t seconds sees more than
# burst + rate * t, wherever and however late the leased tokens are used. The time is read after the row is locked.
_LEASE: Final = """
    CREATE FUNCTION lease_tokens(
        asker uuid, life_seconds double precision, policies text[], callers text[], rates double precision[],
        bursts double precision[], kept double precision[], returned double precision[], restarts boolean[],
        wanted double precision[]
    ) RETURNS TABLE (place integer, granted double precision, tokens_left double precision)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        bucket public.limit_bucket;
        moment timestamptz;
        out_elsewhere double precision;
        tokens_now double precision;
    BEGIN
        -- A crash may forget the last moments: no caller should wait for the disk.
        PERFORM set_config('synchronous_commit', 'off', true);
        FOR place IN 1 .. cardinality(callers) LOOP
            LOOP
                SELECT * INTO bucket FROM limit_bucket b
                WHERE b.policy = policies[place] AND b.caller = callers[place] FOR UPDATE;
                EXIT WHEN FOUND;
                INSERT INTO limit_bucket (policy, caller, tokens, refilled_at, forget_at)
                VALUES (policies[place], callers[place], bursts[place], clock_timestamp(), clock_timestamp())
                ON CONFLICT DO NOTHING;
            END LOOP;
            moment := clock_timestamp();
            SELECT coalesce(sum(l.amount), 0), coalesce(array_agg(l.holder), '{}'),
                   coalesce(array_agg(l.amount), '{}'), coalesce(array_agg(l.until), '{}')
            INTO out_elsewhere, bucket.holders, bucket.held, bucket.held_until
            FROM unnest(bucket.holders, bucket.held, bucket.held_until) AS l (holder, amount, until)
            WHERE l.holder <> asker AND l.until > moment;
            tokens_now := least(
                greatest(0, bursts[place] - out_elsewhere - kept[place]),
                returned[place] + CASE WHEN restarts[place] THEN 0 ELSE bucket.tokens
                    + rates[place] * greatest(0, extract(epoch FROM moment - bucket.refilled_at)::double precision) END
            );
            granted := greatest(0, floor(least(wanted[place], tokens_now)));
            tokens_left := tokens_now - granted;
            IF kept[place] + granted > 0 THEN
                bucket.holders := bucket.holders || asker;
                bucket.held := bucket.held || (kept[place] + granted);
                bucket.held_until := bucket.held_until || (moment + make_interval(secs => life_seconds));
            END IF;
            UPDATE limit_bucket b
            SET tokens = tokens_left, refilled_at = moment, holders = bucket.holders, held = bucket.held,
                held_until = bucket.held_until,
                forget_at = moment + make_interval(
                    secs => life_seconds + (bursts[place] - tokens_left) / rates[place])
            WHERE b.policy = policies[place] AND b.caller = callers[place];
            RETURN NEXT;
        END LOOP;
    END
    $$
"""

_COUNT: Final = """
    CREATE FUNCTION count_limit_holders(asker uuid, leaving boolean) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        IF leaving THEN
            DELETE FROM limit_holder h WHERE h.holder = asker;
        ELSE
            INSERT INTO limit_holder (holder, seen_at) VALUES (asker, clock_timestamp())
            ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at;
        END IF;
        RETURN (SELECT count(*) FROM limit_holder h WHERE h.seen_at > clock_timestamp() - interval '10 seconds');
    END
    $$
"""

_LEASE_NAME: Final = (
    "lease_tokens(uuid, double precision, text[], text[], double precision[], double precision[], double precision[],"
    " double precision[], boolean[], double precision[])"
)
_COUNT_NAME: Final = "count_limit_holders(uuid, boolean)"


def create_limit_tables(op: Operations, service: str) -> None:
    """Create buckets and functions: `_intake` may call them, `_worker` sweeps, nobody else sees a row."""
    for statement in (*_TABLES, _LEASE, _COUNT):
        op.execute(statement)
    for table in ("limit_bucket", "limit_holder"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY every_row ON {table} TO {service}_worker, {service}_migrate USING (true) WITH CHECK (true)"
        )
        op.execute(f"GRANT SELECT, DELETE ON {table} TO {service}_worker")
    for function in (_LEASE_NAME, _COUNT_NAME):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {service}_intake")


def drop_limit_tables(op: Operations) -> None:
    """Undo create_limit_tables; every caller begins with a full bucket again."""
    for function in (_LEASE_NAME, _COUNT_NAME):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE limit_holder, limit_bucket")
