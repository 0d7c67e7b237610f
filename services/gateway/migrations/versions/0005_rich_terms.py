"""Caps and the currency of offer versions; who brought an affiliate, and which groups it was in when."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AFFILIATE = "affiliate_id = nullif(current_setting('app.affiliate_id', true), '')::int"


def upgrade() -> None:
    """Add them. Terms grow inside their JSON."""
    op.execute("ALTER TABLE offer_version ADD COLUMN caps jsonb NOT NULL DEFAULT '[]', ADD COLUMN pays_in text")
    # A referrer is there before whom it brings: chains of them end.
    op.execute(
        "ALTER TABLE affiliate ADD COLUMN referred_by integer REFERENCES affiliate CHECK (referred_by < affiliate_id)"
    )
    op.execute(
        """
        CREATE TABLE affiliate_group (
            affiliate_id integer NOT NULL REFERENCES affiliate,
            group_name text NOT NULL CHECK (group_name ~ '^[a-z0-9_-]{1,32}$'),
            number integer NOT NULL CHECK (number >= 1),
            start_at timestamptz NOT NULL,
            end_at timestamptz CHECK (end_at >= start_at),
            PRIMARY KEY (affiliate_id, group_name, number)
        )
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX affiliate_group_open ON affiliate_group (affiliate_id, group_name) WHERE end_at IS NULL"
    )
    op.execute(
        "CREATE TRIGGER ended_interval_is_immutable BEFORE UPDATE ON affiliate_group"
        " FOR EACH ROW WHEN (OLD.end_at IS NOT NULL) EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER interval_stays BEFORE DELETE OR TRUNCATE ON affiliate_group"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute("ALTER TABLE affiliate_group ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE affiliate_group FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON affiliate_group TO gateway_api USING ({_AFFILIATE}) WITH CHECK ({_AFFILIATE})")
    op.execute(
        "CREATE POLICY every_row ON affiliate_group TO gateway_staff, gateway_migrate USING (true) WITH CHECK (true)"
    )
    op.execute("GRANT SELECT ON affiliate_group TO gateway_api, gateway_staff")
    op.execute("GRANT INSERT, UPDATE (end_at) ON affiliate_group TO gateway_staff")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE affiliate_group")
    op.execute("ALTER TABLE affiliate DROP COLUMN referred_by")
    op.execute("ALTER TABLE offer_version DROP COLUMN caps, DROP COLUMN pays_in")
