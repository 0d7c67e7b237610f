"""The typed client: a method an operation, clean under mypy strict, and it says what it sends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.client.write import write_client
from deploy.interface.document import build_document

SISTER = Path(__file__).parents[2] / "demo" / "sister.py"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package, importable."""
    folder = tmp_path_factory.mktemp("client")
    write_client(folder)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tributary_client"]:
        del sys.modules[name]


def test_it_and_the_script_that_uses_it_are_clean_under_mypy_strict(package: Path) -> None:
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--no-incremental",
            "tributary_client",
            str(SISTER),
        ],
        env={**os.environ, "MYPYPATH": str(package)},
        cwd=package,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert checked.returncode == 0, checked.stdout


def test_every_operation_is_a_method(package: Path) -> None:
    from tributary_client import Client

    names = {operation["operationId"] for item in build_document()["paths"].values() for operation in item.values()}

    assert {name for name in names if not callable(getattr(Client, name, None))} == set()


def test_a_call_says_what_was_asked_and_a_refusal_is_a_problem(package: Path) -> None:
    from tributary_client import Client, Problem

    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.method == "GET":
            return httpx.Response(429, json={"code": "rate_limited", "errors": []}, headers={"Retry-After": "7"})
        return httpx.Response(200, json={"id": "x"})

    client = Client("https://network.example/", key="k", http=httpx.Client(transport=httpx.MockTransport(answer)))
    body: Any = {"reason_code": "fraud"}
    client.reject_conversion("order:A 1/2", body, event="sale", idempotency_key="once")
    with pytest.raises(Problem) as refusal:
        client.list_receipts(authenticated=False)

    assert seen[0].url.raw_path == b"/v1/conversions/order:A%201%2F2/reject?event=sale"
    assert (seen[0].headers["authorization"], seen[0].headers["idempotency-key"]) == ("Bearer k", "once")
    assert json.loads(seen[0].content) == body
    assert seen[1].url.query == b"authenticated=false"
    assert (refusal.value.status, refusal.value.code, refusal.value.retry_after_seconds) == (429, "rate_limited", 7)
