"""A state folder of the test's own, and nothing of the caller's environment that names a network."""

from pathlib import Path

import pytest

from deploy.local.roles import ROLES, SERVICES, SecretFile


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TRIBUTARY_HOME: a folder where nothing runs and nothing was ever made."""
    names = [f"DATABASE_URL_{service.upper()}" for service in SERVICES]
    names += [kind.value for kind in SecretFile] + [role.port_variable for role in ROLES]
    for name in (*names, "HOST", "LOG_ID", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    monkeypatch.setenv("TRIBUTARY_HOME", str(folder))
    return folder
