"""A process by itself, as an orchestrator starts it: what it lacks it says in one line, without a traceback (T39)."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from deploy.local.roles import ROLES, SERVICES, Role, SecretFile
from deploy.local.secret_files import ensure_secret_files
from shared.runtime.migrations import newest_revision
from shared.runtime.start import SchemaBehind, require_migrated, run_plainly
from shared.runtime.start import _newest_revision as newest_by_file_names
from tests.conftest import TestPostgres

ROOT = Path(__file__).parents[3]
END_SECONDS_MAX = 60


def _start(role: Role, **told: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "TRIBUTARY_ENV": "test", "BROKER": "embedded", **told}
    return subprocess.run(
        [sys.executable, "-m", role.module],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=END_SECONDS_MAX,
    )


def _refusal(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line it says beside its log."""
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    (line,) = [line for line in (ran.stdout + ran.stderr).splitlines() if not line.startswith("{")]
    return line


def _told(role: Role, postgres: TestPostgres, folder: Path) -> dict[str, str]:
    secrets = ensure_secret_files(folder)
    urls = {f"DATABASE_URL_{name.upper()}": postgres.url(role.service, database_of=name) for name in SERVICES}
    return urls | {kind.value: str(secrets[kind]) for kind in role.secrets}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_process_without_its_database_says_which_setting_is_missing(role: Role) -> None:
    assert f"DATABASE_URL_{role.service.upper()} is not set" in _refusal(_start(role))


def test_a_bad_setting_is_named_and_not_shown() -> None:
    refusal = _refusal(_start(ROLES[0], PORT="hush-hush"))

    assert "PORT" in refusal
    assert "hush" not in refusal


def test_a_database_that_was_never_migrated_is_refused(mortal_postgres: TestPostgres, tmp_path: Path) -> None:
    role = next(role for role in ROLES if role.name == "commissions-api")

    refusal = _refusal(_start(role, **_told(role, mortal_postgres, tmp_path)))

    assert "has no migration yet" in refusal
    assert "tributary migrate commissions" in refusal


def test_a_bad_keyring_is_refused(postgres: TestPostgres, tmp_path: Path) -> None:
    role = next(role for role in ROLES if role.name == "commissions-api")
    postgres.migrate("commissions")
    told = _told(role, postgres, tmp_path)
    Path(told[SecretFile.PRINCIPAL_KEYRING.value]).write_text("{")

    assert "principal.json is not JSON" in _refusal(_start(role, **told))


async def test_an_older_database_is_refused_a_newer_one_and_one_that_is_away_are_not(
    mortal_postgres: TestPostgres,
) -> None:
    url = mortal_postgres.migrate("clicks")
    admin = await asyncpg.connect(mortal_postgres.admin_url("tributary_clicks"))
    newest = await admin.fetchval("SELECT version_num FROM alembic_version")

    async def try_at(revision: str) -> str:
        await admin.execute(f"UPDATE alembic_version SET version_num = '{revision}'")
        tried = await _apart(url)
        await admin.execute(f"UPDATE alembic_version SET version_num = '{newest}'")
        return tried

    assert await try_at(newest) == ""
    assert "is at revision 0001" in await try_at("0001")
    assert await try_at("9999") == ""
    assert await _apart("postgresql://someone@127.0.0.1:1/clicks") == ""
    await admin.close()


async def _apart(url: str) -> str:
    """What `require_migrated` says, in a thread where no loop runs."""

    def call() -> str:
        try:
            require_migrated(url, "clicks")
        except SchemaBehind as behind:
            return str(behind)
        return ""

    return await asyncio.to_thread(call)


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_revision_by_name_is_the_one_alembic_knows(service: str) -> None:
    assert newest_by_file_names(service) == newest_revision(service)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    def broken() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        run_plainly(broken)
