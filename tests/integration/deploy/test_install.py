"""`make install` where something is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "nowhere-to-be-found==1.0 --hash=sha256:" + "0" * 64


def test_what_cannot_be_installed_ends_in_plain_words(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "requirements.lock").write_text(NOWHERE)
    environment = {**os.environ, "PIP_NO_INDEX": "1", "MAKEFLAGS": ""}

    done = subprocess.run(
        ["make", "install", f"VENV={Path(sys.executable).parents[1]}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "install a C compiler" in done.stderr
    assert "Without a connection" in done.stderr
