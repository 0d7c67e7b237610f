"""Clicks that offers pay for: noted until their hour is settled, and the bundles they were settled in."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWN = (
    "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
    " OR affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"
)
_UP = (
    """
    CREATE TABLE billable_click (
        click_id bytea PRIMARY KEY CHECK (octet_length(click_id) = 35),
        clicked_at timestamptz NOT NULL,
        offer_id integer NOT NULL,
        offer_version integer NOT NULL,
        affiliate_id integer NOT NULL,
        merchant_id integer NOT NULL,
        shopper text,
        logged_at timestamptz NOT NULL,
        is_valid boolean
    )
    """,
    "CREATE INDEX billable_click_pending ON billable_click (clicked_at) WHERE is_valid IS NULL",
    "CREATE INDEX billable_click_paid ON billable_click (offer_id, shopper, clicked_at) WHERE is_valid",
    "CREATE INDEX billable_click_age ON billable_click USING brin (clicked_at)",
    """
    CREATE TABLE billable_bundle (
        offer_id integer NOT NULL,
        offer_version integer NOT NULL,
        affiliate_id integer NOT NULL,
        merchant_id integer NOT NULL,
        hour_at timestamptz NOT NULL,
        part integer NOT NULL CHECK (part > 0),
        quantity integer NOT NULL CHECK (quantity > 0),
        settled_at timestamptz NOT NULL,
        PRIMARY KEY (offer_id, hour_at, offer_version, affiliate_id, part)
    )
    """,
    *(
        statement
        for table in ("billable_click", "billable_bundle")
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON {table} TO clicks_api USING ({_OWN}) WITH CHECK ({_OWN})",
            f"CREATE POLICY everything ON {table} TO clicks_staff, clicks_intake, clicks_worker, clicks_migrate"
            " USING (true) WITH CHECK (true)",
        )
    ),
    "GRANT SELECT, INSERT, DELETE, UPDATE (shopper, is_valid) ON billable_click TO clicks_worker",
    "GRANT SELECT, INSERT ON billable_bundle TO clicks_worker",
)


def upgrade() -> None:
    """Add the tables."""
    op.execute("SET lock_timeout = '5s'")
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    """Drop them: clicks that are not settled yet are paid for by nobody."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("DROP TABLE billable_click, billable_bundle")
