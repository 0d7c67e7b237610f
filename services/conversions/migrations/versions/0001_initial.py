"""Conversions and their versions, receipts, adjustments, credentials, the click index; and the runtime's tables."""

from alembic import op

from shared.runtime.schema import create_runtime_tables, drop_runtime_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE conversion (
        id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        event text NOT NULL,
        dedupe_key text NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        status text NOT NULL CHECK (status IN
            ('waiting', 'pending', 'approved', 'unattributed', 'rejected', 'held', 'reversed')),
        outcome integer NOT NULL,
        first_received_at timestamptz NOT NULL,
        first_receipt_id uuid NOT NULL,
        first_outcome integer NOT NULL,
        first_status text NOT NULL,
        content_hash bytea NOT NULL,
        clickless_hash bytea NOT NULL,
        changed_at timestamptz NOT NULL,
        is_batch boolean NOT NULL,
        order_id text,
        click_id bytea CHECK (octet_length(click_id) = 35),
        clicked_at timestamptz,
        click_flags integer NOT NULL,
        offer_id integer,
        offer_version integer,
        affiliate_id integer,
        attributed_by text,
        currency text,
        order_amount_minor bigint CHECK (order_amount_minor >= 0),
        net_amount_minor bigint CHECK (net_amount_minor >= 0 AND net_amount_minor <= order_amount_minor),
        ordered_at timestamptz,
        approve_at timestamptz,
        reason_code text,
        coupon text,
        customer_id text,
        customer_status text,
        items text,
        merchant_subs jsonb NOT NULL,
        has_details boolean NOT NULL,
        subs jsonb NOT NULL,
        aff_click_id text,
        source text,
        creative text,
        UNIQUE (merchant_id, event, dedupe_key),
        CHECK ((affiliate_id IS NULL) = (click_id IS NULL)),
        CHECK ((order_amount_minor IS NULL) = (currency IS NULL) AND (net_amount_minor IS NULL) = (currency IS NULL))
    ) WITH (fillfactor = 85)
    """,
    "CREATE INDEX conversion_of_merchant ON conversion (merchant_id, id DESC)",
    "CREATE INDEX conversion_of_affiliate ON conversion (affiliate_id, id DESC) WHERE affiliate_id IS NOT NULL",
    "CREATE INDEX conversion_of_order ON conversion (merchant_id, order_id) WHERE order_id IS NOT NULL",
    "CREATE INDEX conversion_of_click ON conversion (click_id) WHERE NOT has_details AND click_id IS NOT NULL",
    "CREATE INDEX conversion_without_details ON conversion (changed_at) WHERE NOT has_details AND click_id IS NOT NULL",
    "CREATE INDEX conversion_to_approve ON conversion (approve_at) WHERE status = 'pending'",
    "CREATE INDEX conversion_waiting ON conversion (id) WHERE status = 'waiting'",
    """
    CREATE TABLE conversion_version (
        conversion_id uuid NOT NULL,
        version integer NOT NULL,
        merchant_id integer NOT NULL,
        affiliate_id integer,
        at timestamptz NOT NULL,
        change text NOT NULL,
        status text NOT NULL,
        outcome integer NOT NULL,
        actor_kind text NOT NULL,
        actor_key text,
        reason_code text,
        adjustment_id text,
        currency text,
        net_amount_minor bigint,
        steps jsonb NOT NULL,
        PRIMARY KEY (conversion_id, version)
    )
    """,
    """
    CREATE TABLE accepted_content (
        conversion_id uuid NOT NULL REFERENCES conversion,
        content_hash bytea NOT NULL,
        merchant_id integer NOT NULL,
        receipt_id uuid NOT NULL,
        outcome integer NOT NULL,
        status text NOT NULL,
        PRIMARY KEY (conversion_id, content_hash)
    )
    """,
    """
    CREATE TABLE adjustment (
        merchant_id integer NOT NULL,
        order_key text NOT NULL,
        adjustment_id text NOT NULL,
        conversion_id uuid NOT NULL REFERENCES conversion,
        content_hash bytea NOT NULL,
        amount_minor bigint,
        currency text,
        receipt_id uuid,
        outcome integer NOT NULL,
        status text NOT NULL,
        recorded_at timestamptz NOT NULL,
        PRIMARY KEY (merchant_id, order_key, adjustment_id)
    )
    """,
    """
    CREATE TABLE receipt (
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
    """,
    "CREATE INDEX receipt_of_merchant ON receipt (merchant_id, id DESC)",
    """
    CREATE TABLE unauthenticated_postback (
        id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        received_at timestamptz NOT NULL,
        transport text NOT NULL,
        outcome integer NOT NULL,
        request_id text NOT NULL
    )
    """,
    "CREATE INDEX unauthenticated_postback_of_merchant ON unauthenticated_postback (merchant_id, id DESC)",
    """
    CREATE TABLE unauthenticated_count (
        merchant_id integer PRIMARY KEY,
        count bigint NOT NULL
    )
    """,
    """
    CREATE TABLE postback_credential (
        id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        kind text NOT NULL CHECK (kind IN ('hmac', 'token')),
        name text NOT NULL,
        sealed_secret bytea,
        token_hash bytea,
        cidrs text[] NOT NULL,
        created_at timestamptz NOT NULL,
        valid_until timestamptz,
        replaces_id uuid,
        revoked_at timestamptz,
        CHECK ((kind = 'hmac') = (sealed_secret IS NOT NULL) AND (kind = 'token') = (token_hash IS NOT NULL))
    )
    """,
    "CREATE INDEX postback_credential_of_merchant ON postback_credential (merchant_id)",
    "CREATE TABLE credential_change"
    " (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), count bigint NOT NULL)",
    "INSERT INTO credential_change (count) VALUES (0)",
    """
    CREATE TABLE click_detail (
        click_id bytea PRIMARY KEY CHECK (octet_length(click_id) = 35),
        merchant_id integer NOT NULL,
        affiliate_id integer NOT NULL,
        subs jsonb NOT NULL,
        aff_click_id text,
        source text,
        creative text,
        recorded_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE idempotency_key (
        owner text NOT NULL,
        key text NOT NULL,
        merchant_id integer,
        request_hash bytea NOT NULL,
        http_status integer NOT NULL,
        answer bytea NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (owner, key)
    )
    """,
)

_MERCHANT_OR_AFFILIATE = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)
_MERCHANT_ONLY = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_TENANCY = {
    "conversion": _MERCHANT_OR_AFFILIATE,
    "conversion_version": _MERCHANT_OR_AFFILIATE,
    "click_detail": _MERCHANT_OR_AFFILIATE,
    "accepted_content": _MERCHANT_ONLY,
    "adjustment": _MERCHANT_ONLY,
    "receipt": _MERCHANT_ONLY,
    "unauthenticated_postback": _MERCHANT_ONLY,
    "unauthenticated_count": _MERCHANT_ONLY,
    "postback_credential": _MERCHANT_ONLY,
    "idempotency_key": _MERCHANT_ONLY,
}
_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE ON conversion TO conversions_intake, conversions_worker",
    "GRANT SELECT, UPDATE ON conversion TO conversions_api, conversions_staff",
    "GRANT SELECT, INSERT ON conversion_version"
    " TO conversions_api, conversions_staff, conversions_intake, conversions_worker",
    "GRANT SELECT, INSERT ON accepted_content TO conversions_intake",
    "GRANT SELECT, INSERT ON adjustment TO conversions_intake, conversions_api, conversions_staff",
    "GRANT INSERT ON receipt TO conversions_intake",
    "GRANT SELECT ON receipt TO conversions_api, conversions_staff",
    "GRANT SELECT, INSERT, DELETE ON unauthenticated_postback TO conversions_intake",
    "GRANT SELECT, INSERT, UPDATE ON unauthenticated_count TO conversions_intake",
    "GRANT SELECT ON unauthenticated_postback, unauthenticated_count TO conversions_api, conversions_staff",
    "GRANT SELECT ON postback_credential, credential_change TO conversions_intake",
    "GRANT SELECT, INSERT, UPDATE ON postback_credential TO conversions_api, conversions_staff",
    "GRANT SELECT, UPDATE ON credential_change TO conversions_api, conversions_staff",
    "GRANT SELECT ON click_detail TO conversions_intake",
    "GRANT SELECT, INSERT ON click_detail TO conversions_worker",
    "GRANT SELECT, INSERT ON idempotency_key TO conversions_api, conversions_staff",
)


def upgrade() -> None:
    """Create everything."""
    create_runtime_tables(op, service="conversions")
    for statement in _TABLES:
        op.execute(statement)
    for table, own in _TENANCY.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY tenant ON {table} TO conversions_api USING ({own}) WITH CHECK ({own})")
        op.execute(
            f"CREATE POLICY everything ON {table}"
            " TO conversions_staff, conversions_intake, conversions_worker, conversions_migrate"
            " USING (true) WITH CHECK (true)"
        )
    for grant in _GRANTS:
        op.execute(grant)


def downgrade() -> None:
    """Drop everything, conversions included."""
    for table in ("credential_change", *reversed(_TENANCY)):
        op.execute(f"DROP TABLE IF EXISTS {table} CASCADE")
    drop_runtime_tables(op, service="conversions")
