"""The tables of every service's database, for its first migration: outbox, positions, dead letters, projection."""

from typing import Final, Protocol

_TABLES: Final = (
    """
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        topic text NOT NULL,
        key bytea,
        event_id uuid NOT NULL,
        payload bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        published_at timestamptz,
        partition integer,
        "offset" bigint,
        parked_reason text,
        CHECK ((partition IS NULL) = ("offset" IS NULL))
    ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05)
    """,
    "CREATE INDEX outbox_pending ON outbox (id) WHERE published_at IS NULL AND parked_reason IS NULL",
    'CREATE UNIQUE INDEX outbox_log ON outbox (topic, partition, "offset") WHERE "offset" IS NOT NULL',
    "CREATE INDEX outbox_parked ON outbox (id) WHERE parked_reason IS NOT NULL",
    """
    CREATE TABLE outbox_head (
        topic text NOT NULL,
        partition integer NOT NULL,
        next_offset bigint NOT NULL,
        PRIMARY KEY (topic, partition)
    )
    """,
    """
    CREATE TABLE position (
        consumer text NOT NULL,
        topic text NOT NULL,
        partition integer NOT NULL,
        next_offset bigint NOT NULL CHECK (next_offset >= 0),
        log_id text NOT NULL,
        PRIMARY KEY (consumer, topic, partition)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE dead_letter (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer text NOT NULL,
        topic text NOT NULL,
        partition integer NOT NULL,
        "offset" bigint NOT NULL,
        key bytea,
        payload bytea NOT NULL,
        reason text NOT NULL,
        failed_at timestamptz NOT NULL,
        replay_requested_at timestamptz,
        replayed_at timestamptz
    )
    """,
    "CREATE INDEX dead_letter_open ON dead_letter (consumer, id) WHERE replayed_at IS NULL",
    """
    CREATE TABLE projection_entry (
        key text PRIMARY KEY,
        event_type text NOT NULL,
        payload bytea NOT NULL,
        changed_offset bigint NOT NULL
    )
    """,
    "CREATE INDEX projection_entry_changed ON projection_entry (changed_offset)",
)

_GRANTS: Final = (
    "GRANT INSERT ON outbox TO {service}_api, {service}_staff, {service}_intake",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, outbox_head, position, dead_letter, projection_entry"
    " TO {service}_worker",
    "GRANT SELECT ON outbox, outbox_head TO {service}_log",
    "GRANT SELECT ON projection_entry TO {service}_api, {service}_staff, {service}_intake",
    "GRANT SELECT ON position, dead_letter TO {service}_staff",
    "GRANT UPDATE (replay_requested_at) ON dead_letter TO {service}_staff",
)


class Operations(Protocol):
    """The part of Alembic's `op` that is used here."""

    def execute(self, sqltext: str) -> object:
        """Run one statement."""
        ...


def create_runtime_tables(op: Operations, service: str) -> None:
    """Create the runtime tables and grant them to the roles of `service`, which must exist."""
    for statement in _TABLES:
        op.execute(statement)
    for grant in _GRANTS:
        op.execute(grant.format(service=service))


def drop_runtime_tables(op: Operations, service: str) -> None:
    """Undo create_runtime_tables; the events and positions in the tables are lost. `service` is named for symmetry."""
    del service
    op.execute("DROP TABLE projection_entry, dead_letter, position, outbox_head, outbox")
