"""Whose customers are, for offers that pay later orders too; and credit without a click."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OWN = "merchant_id = nullif(current_setting('app.merchant_id', true), '')::int"
_UP = (
    """
    CREATE TABLE customer_ownership (
        conversion_id uuid PRIMARY KEY,
        merchant_id integer NOT NULL,
        customer_id text,
        offer_id integer NOT NULL,
        offer_version integer NOT NULL,
        affiliate_id integer NOT NULL,
        first_at timestamptz NOT NULL,
        UNIQUE (merchant_id, customer_id, offer_id)
    )
    """,
    "ALTER TABLE customer_ownership ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE customer_ownership FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant ON customer_ownership TO conversions_api USING ({_OWN}) WITH CHECK ({_OWN})",
    "CREATE POLICY everything ON customer_ownership"
    " TO conversions_staff, conversions_intake, conversions_worker, conversions_migrate USING (true) WITH CHECK (true)",
    "GRANT SELECT, INSERT ON customer_ownership TO conversions_intake, conversions_staff, conversions_worker",
    "GRANT UPDATE (customer_id) ON customer_ownership TO conversions_worker",
)
# Found by what it says: the name is one PostgreSQL gave it.
_DROP_CLICK_CHECK = """
    DO $$
    DECLARE
        found text;
    BEGIN
        FOR found IN
            SELECT conname FROM pg_constraint WHERE conrelid = 'public.conversion'::regclass AND contype = 'c'
                AND pg_get_constraintdef(oid) LIKE '%affiliate_id IS NULL%'
        LOOP
            EXECUTE format('ALTER TABLE public.conversion DROP CONSTRAINT %I', found);
        END LOOP;
    END
    $$
"""
_CREDITED = (
    "ALTER TABLE conversion ADD CONSTRAINT conversion_credits_whole"
    " CHECK ((affiliate_id IS NULL) = (offer_id IS NULL) AND (affiliate_id IS NULL) = (offer_version IS NULL)"
    " AND (click_id IS NULL OR affiliate_id IS NOT NULL)) NOT VALID"
)


def upgrade() -> None:
    """Add the owners; an affiliate may be credited without a click."""
    op.execute("SET lock_timeout = '5s'")
    for statement in (*_UP, _DROP_CLICK_CHECK, _CREDITED):
        op.execute(statement)
    op.execute("ALTER TABLE conversion VALIDATE CONSTRAINT conversion_credits_whole")


def downgrade() -> None:
    """Drop the owners. Refused by the old check while a conversion stands that no click credits."""
    op.execute("SET lock_timeout = '5s'")
    op.execute("ALTER TABLE conversion DROP CONSTRAINT conversion_credits_whole")
    op.execute("ALTER TABLE conversion ADD CHECK ((affiliate_id IS NULL) = (click_id IS NULL))")
    op.execute("DROP TABLE customer_ownership")
