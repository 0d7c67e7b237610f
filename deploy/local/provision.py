"""Databases and roles: one database and one login per service, and inside each the narrow roles the service works as.

Idempotent. As superuser on our own server; on an outside server as DATABASE_ADMIN_URL, else as the service's own user
if that may create roles, else the SQL is printed for whoever may.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from deploy.local.problem import PlainProblem

SERVICES = ("gateway", "clicks", "conversions", "commissions")
WORKING_ROLES = ("api", "staff", "intake", "worker", "migrate")
CONNECT_TIMEOUT_SECONDS = 10.0
SUPERUSER_DATABASE = "postgres"


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """What one service's database and login are called; `password` only where the server asks for one."""

    service: str
    database: str
    login: str
    password: str | None = None

    @classmethod
    def standard(cls, service: str) -> "ServiceDatabase":
        """The names on our own server, where the kernel vouches for the caller."""
        return cls(service=service, database=f"tributary_{service}", login=f"tributary_{service}")

    @classmethod
    def from_url(cls, service: str, url: str) -> "ServiceDatabase":
        """The names in an outside server's DATABASE_URL_<SERVICE>."""
        parts = urlsplit(url)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.username or len(parts.path) < 2:
            raise PlainProblem(
                f"DATABASE_URL_{service.upper()} is not a PostgreSQL address.",
                "Its form is postgresql://user:password@host:5432/database.",
            )
        password = unquote(parts.password) if parts.password else None
        return cls(service, unquote(parts.path[1:]), unquote(parts.username), password)


def provision(admin_url: str, databases: Sequence[ServiceDatabase] | None = None) -> None:
    """Create what is missing, with the rights of `admin_url` (a superuser, or one with CREATEROLE and CREATEDB)."""
    wanted = databases or [ServiceDatabase.standard(service) for service in SERVICES]
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_provision(admin_url, wanted))


def provision_outside(urls: Mapping[str, str], admin_url: str | None) -> None:
    """The same for outside servers, `urls` by service. PlainProblem with the SQL to run when nobody here may do it."""
    databases = [ServiceDatabase.from_url(service, url) for service, url in urls.items()]
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        missing = [found for found in databases if not runner.run(_is_provisioned(urls[found.service], found))]
        if not missing:
            return
        way_in = admin_url or next(iter(urls.values()))
        if admin_url is None and not runner.run(_may_create_roles(way_in)):
            raise PlainProblem(
                f"The databases of {', '.join(found.service for found in missing)} lack Tributary's roles, and the "
                "user of DATABASE_URL_* may not create them.",
                "Set DATABASE_ADMIN_URL, or run this as an administrator:\n\n" + sql_to_run(databases),
            )
        runner.run(_provision(way_in, databases))


def role_statements(databases: Sequence[ServiceDatabase]) -> list[str]:
    """Server-wide statements: roles and memberships. A login owns nothing and inherits nothing; it must SET ROLE."""
    statements = []
    for found in databases:
        password = f" PASSWORD {_literal(found.password)}" if found.password else ""
        statements.append(_create_role(found.login, f"LOGIN NOINHERIT{password}"))
        for role in (*WORKING_ROLES, "log"):
            statements.append(_create_role(f"{found.service}_{role}", "NOLOGIN"))
        for role in WORKING_ROLES:
            statements.append(_grant_role(f"{found.service}_{role}", found.login))
    for found in databases:
        statements.extend(_grant_role(f"{found.service}_log", reader.login) for reader in databases)
    return statements


def database_statements(found: ServiceDatabase, readers: Sequence[ServiceDatabase]) -> list[str]:
    """Statements inside one service's database: who may connect, and that only `_migrate` creates things."""
    roles = ", ".join(_name(f"{found.service}_{role}") for role in (*WORKING_ROLES, "log"))
    logins = ", ".join(sorted({_name(reader.login) for reader in readers}))
    database = _name(found.database)
    return [
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {database} TO {logins}",
        f"GRANT CONNECT, TEMPORARY, CREATE ON DATABASE {database} TO {_name(found.service + '_migrate')}",
        f"ALTER SCHEMA public OWNER TO {_name(found.service + '_migrate')}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {roles}",
    ]


def sql_to_run(databases: Sequence[ServiceDatabase]) -> str:
    """The whole script for psql, without passwords, for an administrator to read and run."""
    without_passwords = [ServiceDatabase(found.service, found.database, found.login) for found in databases]
    lines = [f"{statement};" for statement in role_statements(without_passwords)]
    for found in without_passwords:
        owner = _name(found.service + "_migrate")
        lines.append(f"-- if it does not exist: CREATE DATABASE {_name(found.database)} OWNER {owner};")
        lines.append(f"\\connect {_name(found.database)}")
        lines.extend(f"{statement};" for statement in database_statements(found, without_passwords))
    return "\n".join(lines)


async def _provision(admin_url: str, databases: Sequence[ServiceDatabase]) -> None:
    connection = await _connect(admin_url)
    try:
        for statement in role_statements(databases):
            await connection.execute(statement)
        await _adopt_owners(connection, databases)
        for found in databases:
            exists = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", found.database)
            if not exists:
                owner = _name(found.service + "_migrate")
                await connection.execute(f"CREATE DATABASE {_name(found.database)} OWNER {owner}")
    finally:
        await connection.close()
    for found in databases:
        connection = await _connect(_with_database(admin_url, found.database))
        try:
            for statement in database_statements(found, databases):
                await connection.execute(statement)
        finally:
            await connection.close()


async def _adopt_owners(connection: "asyncpg.Connection", databases: Sequence[ServiceDatabase]) -> None:
    """Without superuser rights, giving a database to a role takes membership in that role."""
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        return
    for found in databases:
        await connection.execute(
            f"GRANT {_name(found.service + '_migrate')} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE"
        )


async def _is_provisioned(url: str, found: ServiceDatabase) -> bool:
    """Can this login already become every role it works as?"""
    try:
        connection = await _connect(url)
    except asyncpg.InvalidCatalogNameError:
        return False
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    try:
        wanted = [f"{found.service}_{role}" for role in (*WORKING_ROLES, "log")]
        usable = await connection.fetchval(
            "SELECT count(*) FROM pg_roles WHERE rolname = ANY($1) AND pg_has_role(current_user, oid, 'SET')", wanted
        )
        return bool(usable == len(wanted))
    finally:
        await connection.close()


async def _may_create_roles(url: str) -> bool:
    connection = await _connect(url)
    try:
        return bool(
            await connection.fetchval("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        )
    finally:
        await connection.close()


async def _connect(url: str) -> "asyncpg.Connection":
    try:
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, TimeoutError) as error:
        place = urlsplit(url).hostname or "the socket"
        raise PlainProblem(f"No PostgreSQL answers at {place}.", f"{type(error).__name__}: {error}") from error


def _create_role(name: str, options: str) -> str:
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(name)}) "
        f"THEN CREATE ROLE {_name(name)} {options}; END IF; END $$"
    )


def _grant_role(role: str, member: str) -> str:
    return f"GRANT {_name(role)} TO {_name(member)} WITH INHERIT FALSE, SET TRUE"


def _with_database(url: str, database: str) -> str:
    parts = urlsplit(url)
    # urlunsplit would drop the empty host of a socket address
    rebuilt = urlunsplit(parts._replace(path=f"/{database}"))
    if not parts.netloc:
        return f"{parts.scheme}:///{database}" + (f"?{parts.query}" if parts.query else "")
    return rebuilt


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
