"""PostgreSQL for one role: transactions that commit when the block ends well, and connections that heal."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import QueuePool

from shared.runtime.database_timeout import (
    CONNECT_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_MS,
    DatabaseUnanswered,
    command_timeout_seconds,
    connect,
    give_up_unanswered,
)
from shared.runtime.metrics import Watched, before_rendering, counter, gauge

IDLE_TRANSACTION_TIMEOUT_MS: Final = 60_000
"""Longer than the relay's wait for the broker's answer, short enough to free locks of a stopped process."""

POOL_WAIT_SECONDS: Final = 10

_CONNECTION_LOST_SQLSTATES: Final = ("08", "57P01", "57P02", "57P03", "53300")
"""Connection exceptions; shut down by the administrator, crashed, starting up; too many connections."""

_AFTER_COMMIT: Final = "after_commit"

_in_use = gauge("database_in_use", unit="connections", meaning="Connections in use now", labels=["pool"])
_limit = gauge("database_limit", unit="connections", meaning="Connections that may be in use", labels=["pool"])
_failures = counter(
    "database_failed", unit="transactions", meaning="Transactions whose connection was lost or not had", labels=["pool"]
)
_watched: "Watched[Database]" = Watched()

Session = AsyncSession
"""What use cases receive: a session inside a transaction that somebody else commits."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose rows a transaction may see. Exactly one of the two ids is set."""

    merchant_id: int | None = None
    affiliate_id: int | None = None

    def __post_init__(self) -> None:
        if (self.merchant_id is None) == (self.affiliate_id is None):
            raise ValueError("a tenant is a merchant or an affiliate, exactly one")


class Database:
    """One engine for one role of one database.

    url: `postgresql://login@/name?host=/socket/folder` or the TCP form. The login must be a member of `role`, which
    every connection takes at its start. Connections are opened when first needed; at most `pool_size` at a time.
    statement_timeout_ms: the server's limit for one statement; the client's own comes a moment later
    (database_timeout.py). 0 is no limit, for migrations.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str,
        pool_size: int = 5,
        name: str = "",
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    ) -> None:
        self.role = role
        self.name = name or role
        self._pool_size = pool_size
        self._engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={
                "async_creator_fn": connect,
                "timeout": CONNECT_TIMEOUT_SECONDS,
                "command_timeout": command_timeout_seconds(statement_timeout_ms),
                "server_settings": {
                    "role": role,
                    "application_name": self.name,
                    "statement_timeout": str(statement_timeout_ms),
                    "idle_in_transaction_session_timeout": str(IDLE_TRANSACTION_TIMEOUT_MS),
                    "timezone": "UTC",
                    "jit": "off",
                },
            },
        )
        event.listen(self._engine.sync_engine, "checkout", _replace_if_closed)
        event.listen(self._engine.sync_engine, "handle_error", give_up_unanswered, retval=True)
        self._autocommitting = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        _failures.labels(self.name)  # 0 from the start: a rate sees the first failure too
        _watched.add(self)

    @property
    def connections_in_use(self) -> int:
        """Right now, at most `pool_size`."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def connections_max(self) -> int:
        """How many there may be in use."""
        return self._pool_size

    @asynccontextmanager
    async def transaction(self, *, tenant: Tenant | None = None) -> AsyncIterator[AsyncSession]:
        """A session whose effects commit when the block ends, and roll back when it raises. READ COMMITTED.

        With a tenant, row-level security sees `app.merchant_id` or `app.affiliate_id` until the end of the
        transaction. After a lost connection the error is raised and every idle connection is dropped, so that the
        next transaction starts on a fresh one.
        """
        async with self._healing(), AsyncSession(self._engine, expire_on_commit=False, autoflush=False) as session:
            if tenant is not None:
                await _set_tenant(session, tenant)
            yield session
            await session.commit()
            for act in session.info.pop(_AFTER_COMMIT, ()):
                act()

    @asynccontextmanager
    async def reading(self, *, within_seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A connection for pollers: each statement is its own transaction, in one round trip instead of three.

        within_seconds: for all of the block; DatabaseUnanswered after that.
        """
        async with self._healing():
            try:
                async with asyncio.timeout(within_seconds) as limit, self._autocommitting.connect() as connection:
                    yield connection
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise DatabaseUnanswered("the database did not answer in time") from error

    @asynccontextmanager
    async def _healing(self) -> AsyncIterator[None]:
        pool = self._engine.pool
        try:
            yield
        except Exception as error:
            if is_connection_lost(error):
                _failures.labels(self.name).inc()
                if self._engine.pool is pool:
                    await self._engine.dispose()
            raise

    async def close(self) -> None:
        """Close every idle connection; call it when nothing uses the database any more."""
        await self._engine.dispose()


@before_rendering
def _show_connections() -> None:
    in_use: Counter[str] = Counter()
    limit: Counter[str] = Counter()
    for database in _watched:
        in_use[database.name] += database.connections_in_use
        limit[database.name] += database.connections_max
    for name in limit:
        _in_use.labels(name).set(in_use[name])
        _limit.labels(name).set(limit[name])


def after_commit(session: Session, act: Callable[[], None]) -> None:
    """Call `act` once the session's transaction has committed, and not if it rolls back: for counting, not for work."""
    session.info.setdefault(_AFTER_COMMIT, []).append(act)


def forget_after_commit(session: Session) -> None:
    """Drop what was to be told, after a roll-back to a savepoint."""
    session.info.pop(_AFTER_COMMIT, None)


def _replace_if_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool open a new connection where the server has closed this one while it lay idle: nobody's request
    has to fail to find that out. Costs a look at a flag."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


async def _set_tenant(session: AsyncSession, tenant: Tenant) -> None:
    connection = await session.connection()
    await connection.exec_driver_sql(
        "SELECT set_config('app.merchant_id', $1, true), set_config('app.affiliate_id', $2, true)",
        (
            "" if tenant.merchant_id is None else str(tenant.merchant_id),
            "" if tenant.affiliate_id is None else str(tenant.affiliate_id),
        ),
    )


def sqlstate_of(error: BaseException) -> str:
    """The five-character SQLSTATE of a database error, or "" where there is none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def is_connection_lost(error: BaseException) -> bool:
    """True when the error says that the connection, not the statement, is at fault."""
    if sqlstate_of(error).startswith(_CONNECTION_LOST_SQLSTATES):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            isinstance(error, (InterfaceError, OperationalError)) and not sqlstate_of(error)
        )
    return isinstance(error, (ConnectionError, TimeoutError, OSError))


def is_unavailable(error: BaseException) -> bool:
    """True when the database is why, and the same request may be sent again: the connection was lost or did not
    answer, none was free, or the server gave up on the statement (57014)."""
    return is_connection_lost(error) or isinstance(error, PoolTimeout) or sqlstate_of(error) == "57014"
