"""The audit chain's tables in every service's database, for one migration of each (ADR 0007).

The database numbers and chains what is inserted, whoever inserts it, and refuses every change. The hash is repeated in
`audit_entry.entry_hash`, which the verifier uses; a test holds the two together.
"""

from typing import Final

from shared.runtime.schema import Operations

_TABLES: Final = (
    """
    CREATE TABLE audit_entry (
        number bigint PRIMARY KEY CHECK (number >= 1),
        occurred_at timestamptz NOT NULL,
        role text NOT NULL CHECK (role IN ('admin', 'finance', 'merchant', 'affiliate', 'operator', 'nobody')),
        key_id text CHECK (key_id ~ '^[A-Za-z0-9_-]{1,64}$'),
        merchant_id integer,
        affiliate_id integer,
        action text NOT NULL CHECK (length(action) BETWEEN 1 AND 200),
        object_type text NOT NULL CHECK (object_type ~ '^[a-z_]{1,40}$'),
        object_id text CHECK (object_id ~ '^[A-Za-z0-9:._-]{1,80}$'),
        before_hash bytea CHECK (octet_length(before_hash) = 32),
        after_hash bytea CHECK (octet_length(after_hash) = 32),
        request_id text NOT NULL CHECK (request_id ~ '^[A-Za-z0-9_-]{1,64}$'),
        outcome text NOT NULL CHECK (outcome IN ('done', 'denied')),
        code text CHECK (code ~ '^[a-z0-9_]{1,64}$'),
        occurrences integer NOT NULL DEFAULT 1 CHECK (occurrences >= 1),
        previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
        hash bytea NOT NULL CHECK (octet_length(hash) = 32),
        CHECK ((role = 'merchant') = (merchant_id IS NOT NULL)),
        CHECK ((role = 'affiliate') = (affiliate_id IS NOT NULL)),
        CHECK ((outcome = 'done') = (code IS NULL))
    )
    """,
    "CREATE INDEX audit_entry_of_object ON audit_entry (object_type, object_id, number DESC)",
    "CREATE INDEX audit_entry_of_key ON audit_entry (key_id, number DESC) WHERE key_id IS NOT NULL",
    "CREATE INDEX audit_entry_of_request ON audit_entry (request_id)",
    "CREATE INDEX audit_entry_time ON audit_entry (occurred_at)",
    """
    CREATE TABLE audit_head (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        number bigint NOT NULL,
        hash bytea NOT NULL CHECK (octet_length(hash) = 32)
    ) WITH (fillfactor = 50)
    """,
    r"INSERT INTO audit_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'))",
)

# The head's row is the chain's one lock, taken by the first entry of a transaction and held until it ends: append
# last, and commit. Rolled back with its transaction, a number is given again: the chain has no gaps.
_CHAIN: Final = (
    """
    CREATE FUNCTION chain_audit_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        head public.audit_head;
        fields text;
    BEGIN
        SELECT * INTO STRICT head FROM public.audit_head FOR UPDATE;
        NEW.number := head.number + 1;
        NEW.previous_hash := head.hash;
        SELECT string_agg(coalesce(octet_length(field)::text || ':' || field, '-'), ',' ORDER BY place) INTO fields
        FROM unnest(ARRAY[
            NEW.number::text, (extract(epoch FROM NEW.occurred_at) * 1000000)::bigint::text, NEW.role, NEW.key_id,
            NEW.merchant_id::text, NEW.affiliate_id::text, NEW.action, NEW.object_type, NEW.object_id,
            encode(NEW.before_hash, 'hex'), encode(NEW.after_hash, 'hex'), NEW.request_id, NEW.outcome, NEW.code,
            NEW.occurrences::text
        ]) WITH ORDINALITY AS listed (field, place);
        NEW.hash := sha256(NEW.previous_hash || convert_to(fields, 'UTF8'));
        UPDATE public.audit_head SET number = NEW.number, hash = NEW.hash;
        RETURN NEW;
    END
    $$
    """,
    "REVOKE ALL ON FUNCTION chain_audit_entry() FROM PUBLIC",
    "CREATE TRIGGER chain BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION chain_audit_entry()",
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit chain only grows' USING errcode = 'insufficient_privilege';
    END
    $$
    """,
    "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    "CREATE TRIGGER stays BEFORE INSERT OR DELETE OR TRUNCATE ON audit_head"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    "CREATE TRIGGER goes_on BEFORE UPDATE ON audit_head"
    " FOR EACH ROW WHEN (NEW.number IS DISTINCT FROM OLD.number + 1) EXECUTE FUNCTION refuse_audit_change()",
)

_OWN: Final = (
    "merchant_id IS NOT DISTINCT FROM nullif(current_setting('app.merchant_id', true), '')::int"
    " AND affiliate_id IS NOT DISTINCT FROM nullif(current_setting('app.affiliate_id', true), '')::int"
    " AND role IN ('merchant', 'affiliate')"
)

# A tenant's role writes in its own name only, and reads nothing: an entry may say that a foreign id exists.
_ACCESS: Final = (
    "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE audit_entry FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON audit_entry TO {{service}}_api USING (false) WITH CHECK ({_OWN})",
    "CREATE POLICY everything ON audit_entry"
    " TO {service}_staff, {service}_intake, {service}_worker, {service}_migrate USING (true) WITH CHECK (true)",
    "GRANT INSERT (occurred_at, role, key_id, merchant_id, affiliate_id, action, object_type, object_id, before_hash,"
    " after_hash, request_id, outcome, code, occurrences) ON audit_entry"
    " TO {service}_api, {service}_staff, {service}_intake, {service}_worker",
    "GRANT SELECT ON audit_entry, audit_head TO {service}_staff",
)


def create_audit_tables(op: Operations, service: str) -> None:
    """Create the chain, empty, and let the roles of `service` append to it; its staff and its owner read it."""
    for statement in (*_TABLES, *_CHAIN):
        op.execute(statement)
    for statement in _ACCESS:
        op.execute(statement.format(service=service))


def drop_audit_tables(op: Operations) -> None:
    """Undo create_audit_tables; every entry is lost."""
    op.execute("DROP TABLE audit_entry, audit_head")
    op.execute("DROP FUNCTION chain_audit_entry(), refuse_audit_change()")
