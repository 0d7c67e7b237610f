"""How long a database may keep its client waiting, and what becomes of a connection that did.

PostgreSQL itself ends a statement that takes too long. A server that hangs, or a network that swallows packets, ends
nothing: then the client's own limit comes, a moment after the server's would have. Whatever was asked has an unknown
end then, a COMMIT too; so the error says "ask again" and never "no".
"""

import asyncio
from typing import Any, Final

import asyncpg
from sqlalchemy.engine.interfaces import ExceptionContext

HOT_STATEMENT_TIMEOUT_MS: Final = 4_000
"""Redirect, postback, keys and limits: twice what a query takes of a server that needs two seconds for each. Their
callers send again sooner than they wait."""

READ_STATEMENT_TIMEOUT_MS: Final = 12_000
"""Routes of people and partners: with ANSWER_MARGIN_SECONDS still inside the gateway's 15 s, so that the answer is
ours, with its reason, and not the gateway's."""

STATEMENT_TIMEOUT_MS: Final = 30_000
"""Batches of workers, and each fetch of an export (which has 60 s in all)."""

POLL_TIMEOUT_SECONDS: Final = 10.0
"""A poller's look, which takes milliseconds: within this time its process says that it is not ready."""

ANSWER_MARGIN_SECONDS: Final = 2.0
"""The client waits this much longer than the server works: where the server lives, its own answer comes first, frees
its locks and leaves the connection usable."""

CONNECT_TIMEOUT_SECONDS: Final = 5
CLOSE_TIMEOUT_SECONDS: Final = 1.0
"""A farewell that a hanging server does not answer; beyond, the socket is closed without."""


class DatabaseUnanswered(TimeoutError):
    """The server did not answer a statement, a COMMIT or a connection attempt in time: whether it was done is unknown.

    The connection is gone, so that nobody reads the late answer as their own.
    """


class BoundedConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection whose closing has an end."""

    def __del__(self) -> None:
        """One that nobody closed gives its socket back: seen where a server went down under a first statement."""
        if not self._loop.is_closed():
            self.terminate()

    async def close(self, *, timeout: float | None = None) -> None:
        """Say goodbye within `timeout` seconds, CLOSE_TIMEOUT_SECONDS unless told; then the socket is cut."""
        try:
            await super().close(timeout=CLOSE_TIMEOUT_SECONDS if timeout is None else timeout)
        except TimeoutError:
            self.terminate()


async def connect(*arguments: Any, **named: Any) -> Any:
    """asyncpg.connect, whose time limit is told as ours: SQLAlchemy shows its listeners no failed attempt."""
    try:
        return await asyncpg.connect(*arguments, connection_class=BoundedConnection, **named)
    except TimeoutError as error:
        raise DatabaseUnanswered("the database did not accept a connection in time") from error


def command_timeout_seconds(statement_timeout_ms: int) -> float | None:
    """The client's limit for one command; None, no limit, where the server has none (0)."""
    return statement_timeout_ms / 1_000 + ANSWER_MARGIN_SECONDS if statement_timeout_ms else None


def give_up_unanswered(context: ExceptionContext) -> BaseException | None:
    """Listener of handle_error: discards the connection that did not answer, and names the error.

    SQLAlchemy takes a TimeoutError for the program's own: it would roll back on the connection, waiting again, and
    put it back into the pool.
    """
    error = context.original_exception
    if not isinstance(error, asyncio.TimeoutError) or isinstance(error, DatabaseUnanswered):
        return None
    connection = context.connection
    if connection is not None and not connection.closed and not connection.invalidated:
        raw: Any = connection.connection.driver_connection
        raw.terminate()
        context.is_disconnect = True
    return DatabaseUnanswered("the database did not answer in time")
