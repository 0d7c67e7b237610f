"""How a process refuses to start: one line on standard error that says what to do, exit 1, no traceback.

What may pass by itself (a database that is away, a log that does not answer) is no reason: the process waits for it.
"""

import asyncio
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from shared.runtime.database import Database
from shared.runtime.keyring import KeyringInvalid
from shared.runtime.logging import get_logger
from shared.runtime.settings import SettingInvalid

_REVISION_FILE: Final = re.compile(r"(\d{4})_\w+\.py")
_log = get_logger(__name__)


class SchemaBehind(Exception):
    """The database lacks migrations that this program needs."""


def run_plainly(main: Callable[[], None]) -> None:
    """Run a process's `main`; a fault of its settings, keys or database's revision ends it in plain words."""
    try:
        main()
    except ValidationError as fault:
        refusal = explain_settings(fault)
    except (SettingInvalid, KeyringInvalid, SchemaBehind) as fault:
        refusal = str(fault)
    else:
        return
    sys.stderr.write(f"Cannot start: {refusal}.\n")
    raise SystemExit(1)


def require_migrated(url: str, service: str) -> None:
    """Return where the database has every migration this program knows, or does not answer now.

    A database of a newer version is fine: migrations travel before the code that needs them. Raises SchemaBehind.
    For use before any event loop runs.
    """
    newest = _newest_revision(service)
    try:
        found = asyncio.run(_find_revision(url, service))
    except (SQLAlchemyError, OSError, TimeoutError) as fault:
        _log.warning("schema_not_checked", reason=type(fault).__name__)
        return
    if found is None or found < newest:
        at = "has no migration yet" if found is None else f"is at revision {found}"
        raise SchemaBehind(
            f"the database of {service} {at} and this version needs {newest}: tributary migrate {service}"
        )


async def _find_revision(url: str, service: str) -> str | None:
    database = Database(url, role=f"{service}_migrate", pool_size=1, name=f"{service}-start")
    try:
        async with database.reading() as connection:
            exists = await connection.exec_driver_sql("SELECT to_regclass('alembic_version') IS NOT NULL")
            if not exists.scalar_one():
                return None
            result = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            found: str | None = result.scalar_one_or_none()
            return found
    finally:
        await database.close()


def _newest_revision(service: str) -> str:
    """By the names of the files, which a test compares with what Alembic says: Alembic itself is not for processes."""
    spec = importlib.util.find_spec(f"services.{service}.migrations.versions")
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    names = (path.name for folder in folders for path in Path(folder).iterdir())
    return max(match[1] for name in names if (match := _REVISION_FILE.fullmatch(name)))


def explain_settings(fault: ValidationError) -> str:
    """Which settings cannot be used, and why; never their values."""
    return "; ".join(_setting(error["loc"], error["msg"]) for error in fault.errors(include_input=False))


def _setting(location: tuple[int | str, ...], message: str) -> str:
    """What is wrong with a setting, never what it is: an address may carry a password."""
    name = ".".join(str(part).upper() for part in location)
    return f"{name}: {message}" if name else message.removeprefix("Value error, ")
