"""Which database errors mean "not now" and not "never"."""

from typing import Final

from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.runtime.database import is_connection_lost, sqlstate_of

_PASSING_SQLSTATES: Final = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, lock not available, statement timeout."""


def is_outage(error: BaseException) -> bool:
    """True when the same request may succeed in a moment: connection lost, none free, or overtaken by others."""
    return is_connection_lost(error) or isinstance(error, PoolTimeout) or sqlstate_of(error) in _PASSING_SQLSTATES
