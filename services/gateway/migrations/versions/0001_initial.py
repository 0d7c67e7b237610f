"""The catalogue, API keys, idempotency records and the runtime's tables, each with its policies and grants."""

# ruff: noqa: S608 - statements are put together from names of this module only

from alembic import op

from shared.runtime.schema import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MERCHANT = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_AFFILIATE = "affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
_IS_AFFILIATE = "nullif(current_setting('app.affiliate_id', true), '') IS NOT NULL"

_TABLES = (
    """
    CREATE TABLE merchant (
        merchant_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE affiliate (
        affiliate_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE offer (
        offer_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        merchant_id integer NOT NULL REFERENCES merchant,
        name text NOT NULL,
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'ended')),
        current_version integer NOT NULL CHECK (current_version BETWEEN 1 AND 65535),
        fallback_url text,
        created_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        UNIQUE (offer_id, merchant_id)
    )
    """,
    "CREATE INDEX offer_by_merchant ON offer (merchant_id, offer_id)",
    """
    CREATE TABLE offer_version (
        offer_id integer NOT NULL,
        version integer NOT NULL CHECK (version BETWEEN 1 AND 65535),
        merchant_id integer NOT NULL,
        landing_template text NOT NULL,
        allowed_hosts text[] NOT NULL,
        window_min_seconds integer NOT NULL CHECK (window_min_seconds >= 0),
        window_max_seconds integer NOT NULL CHECK (window_max_seconds >= window_min_seconds),
        late_hours integer NOT NULL CHECK (late_hours >= 0),
        validation_days integer NOT NULL CHECK (validation_days >= 0),
        hold_days integer NOT NULL CHECK (hold_days >= 0),
        click_id_parameter text NOT NULL,
        referrer_policy text NOT NULL,
        terms jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (offer_id, version),
        FOREIGN KEY (offer_id, merchant_id) REFERENCES offer (offer_id, merchant_id)
    )
    """,
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is immutable', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$
    """,
    """
    CREATE TRIGGER offer_version_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON offer_version
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """,
    """
    CREATE TABLE enrolment (
        enrolment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        offer_id integer NOT NULL,
        affiliate_id integer NOT NULL REFERENCES affiliate,
        merchant_id integer NOT NULL,
        status text NOT NULL CHECK (status IN ('applied', 'approved', 'rejected', 'ended')),
        applied_at timestamptz NOT NULL,
        decided_at timestamptz,
        UNIQUE (offer_id, affiliate_id),
        FOREIGN KEY (offer_id, merchant_id) REFERENCES offer (offer_id, merchant_id)
    )
    """,
    "CREATE INDEX enrolment_by_affiliate ON enrolment (affiliate_id, enrolment_id)",
    "CREATE INDEX enrolment_by_merchant ON enrolment (merchant_id, enrolment_id)",
    """
    CREATE TABLE enrolment_interval (
        enrolment_id integer NOT NULL REFERENCES enrolment,
        number integer NOT NULL CHECK (number >= 1),
        merchant_id integer NOT NULL,
        affiliate_id integer NOT NULL,
        start_at timestamptz NOT NULL,
        end_at timestamptz CHECK (end_at >= start_at),
        PRIMARY KEY (enrolment_id, number)
    )
    """,
    "CREATE UNIQUE INDEX enrolment_interval_open ON enrolment_interval (enrolment_id) WHERE end_at IS NULL",
    """
    CREATE TABLE api_key (
        key_id text PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{8}$'),
        role text NOT NULL CHECK (role IN ('admin', 'merchant', 'affiliate', 'finance')),
        merchant_id integer REFERENCES merchant CHECK ((role = 'merchant') = (merchant_id IS NOT NULL)),
        affiliate_id integer REFERENCES affiliate CHECK ((role = 'affiliate') = (affiliate_id IS NOT NULL)),
        label text NOT NULL,
        secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
        replaces_key_id text REFERENCES api_key,
        created_at timestamptz NOT NULL,
        expires_at timestamptz,
        revoked_at timestamptz
    )
    """,
    """
    CREATE TABLE idempotency_record (
        scope text NOT NULL,
        idempotency_key text NOT NULL,
        merchant_id integer,
        affiliate_id integer,
        request_sha256 bytea NOT NULL,
        status integer NOT NULL,
        body bytea,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (scope, idempotency_key)
    )
    """,
    "CREATE INDEX idempotency_record_age ON idempotency_record (created_at)",
)

# table: (rows a tenant sees, rows it may write)
_TENANT_RULES = {
    "merchant": (_MERCHANT, _MERCHANT),
    "affiliate": (_AFFILIATE, _AFFILIATE),
    "offer": (_MERCHANT, _MERCHANT),
    "offer_version": (_MERCHANT, _MERCHANT),
    # An affiliate can apply, and nothing it runs can approve itself.
    "enrolment": (f"{_MERCHANT} OR {_AFFILIATE}", f"{_MERCHANT} OR ({_AFFILIATE} AND status = 'applied')"),
    "enrolment_interval": (f"{_MERCHANT} OR {_AFFILIATE}", _MERCHANT),
    "api_key": (f"{_MERCHANT} OR {_AFFILIATE}", f"{_MERCHANT} OR {_AFFILIATE}"),
    "idempotency_record": (f"{_MERCHANT} OR {_AFFILIATE}", f"{_MERCHANT} OR {_AFFILIATE}"),
}

_POLICIES_FOR_AFFILIATES = (
    # Offers are advertised: active ones to every affiliate, others to those who are or were enrolled.
    f"""
    CREATE POLICY advertised ON offer FOR SELECT TO gateway_api USING (
        {_IS_AFFILIATE} AND (status = 'active'
            OR EXISTS (SELECT FROM enrolment e WHERE e.offer_id = offer.offer_id AND e.{_AFFILIATE}))
    )
    """,
    f"""
    CREATE POLICY advertised ON offer_version FOR SELECT TO gateway_api USING (
        {_IS_AFFILIATE} AND EXISTS (SELECT FROM offer o WHERE o.offer_id = offer_version.offer_id)
    )
    """,
)

_GRANTS = (
    "GRANT SELECT ON merchant, affiliate, offer, offer_version, enrolment, enrolment_interval TO gateway_api",
    "GRANT INSERT ON enrolment, enrolment_interval TO gateway_api",
    "GRANT UPDATE (status, applied_at, decided_at) ON enrolment TO gateway_api",
    "GRANT UPDATE (end_at) ON enrolment_interval TO gateway_api",
    "GRANT SELECT, INSERT ON idempotency_record TO gateway_api, gateway_staff",
    "GRANT SELECT, INSERT ON merchant, affiliate, offer, offer_version, enrolment, enrolment_interval, api_key"
    " TO gateway_staff",
    "GRANT UPDATE (name, status) ON merchant, affiliate TO gateway_staff",
    "GRANT UPDATE (name, status, current_version, fallback_url, changed_at) ON offer TO gateway_staff",
    "GRANT UPDATE (status, applied_at, decided_at) ON enrolment TO gateway_staff",
    "GRANT UPDATE (end_at) ON enrolment_interval TO gateway_staff",
    "GRANT UPDATE (expires_at, revoked_at) ON api_key TO gateway_staff",
    "GRANT SELECT ON api_key TO gateway_intake",
    "GRANT SELECT, DELETE ON idempotency_record TO gateway_worker",
)


def upgrade() -> None:
    """Create everything."""
    for statement in _TABLES:
        op.execute(statement)
    for table, (seen, written) in _TENANT_RULES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO gateway_api USING ({seen}) WITH CHECK ({written})")
        op.execute(
            f"CREATE POLICY every_row ON {table} TO gateway_staff, gateway_intake, gateway_worker, gateway_migrate"
            " USING (true) WITH CHECK (true)"
        )
    for statement in (*_POLICIES_FOR_AFFILIATES, *_GRANTS):
        op.execute(statement)
    create_runtime_tables(op, service="gateway")


def downgrade() -> None:
    """Drop everything."""
    drop_runtime_tables(op, service="gateway")
    op.execute("DROP POLICY advertised ON offer_version")
    op.execute("DROP POLICY advertised ON offer")
    op.execute(
        "DROP TABLE idempotency_record, api_key, enrolment_interval, enrolment, offer_version, offer, affiliate,"
        " merchant"
    )
    op.execute("DROP FUNCTION refuse_change()")
