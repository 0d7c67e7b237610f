"""The sister script: a merchant's first order, with the typed client, on the running platform."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.client.write import write_client
from tests.e2e.running_platform import CHECKOUT, RunningPlatform


def test_the_typed_client_goes_from_a_merchant_to_a_statement(platform: RunningPlatform, tmp_path: Path) -> None:
    write_client(tmp_path)

    run = subprocess.run(
        [sys.executable, "-m", "tests.demo.sister", platform.public_url, platform.admin_key],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert run.returncode == 0, run.stderr
    assert "postback: recorded, pending" in run.stdout
    assert "statement: 1 line, closing 10.00 EUR" in run.stdout
