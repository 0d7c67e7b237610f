"""The session that storage, use cases and doors pass on, and the three ways to run a statement in it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from shared.runtime.database import Session


async def fetch_all(session: Session, statement: str, *parameters: object) -> Sequence[Row[Any]]:
    """Every row of `statement`, whose parameters are $1, $2 …"""
    connection = await session.connection()
    return (await connection.exec_driver_sql(statement, parameters)).all()


async def fetch_one(session: Session, statement: str, *parameters: object) -> Row[Any] | None:
    """Its only row, or None."""
    connection = await session.connection()
    return (await connection.exec_driver_sql(statement, parameters)).one_or_none()


async def execute(session: Session, statement: str, *parameters: object) -> int:
    """How many rows it changed."""
    connection = await session.connection()
    return (await connection.exec_driver_sql(statement, parameters)).rowcount
