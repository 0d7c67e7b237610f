"""Write down what the running platform answers to each example's request.

`python -m tests.e2e.interface.record [name …]`: for examples that have no answer yet, or those named. Starts a
platform of its own; secrets are replaced.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from deploy.interface.document import EXAMPLES
from deploy.interface.operations import OPERATIONS
from services.gateway.domain.routes import ROUTES
from tests.e2e.client import Answer
from tests.e2e.interface.exchange import Documented, Filled, fill, send
from tests.e2e.interface.world import World
from tests.e2e.running_platform import RunningPlatform

FAKE_SECRET: Final = "shown-once-and-kept-nowhere"
_KEY: Final = re.compile(r"trb_([a-z]+)_([a-z0-9]{8})_\w+")
_FRESH_NAME: Final = re.compile(r"^(.*) [0-9a-f]{8}$")
_RECORDERS: Final = ("merchant", "affiliate", "finance", "admin", "")
_OF_AFFILIATES: Final = ("balance", "statement", "commission")
_FILES: Final = ("text/html", "text/plain", "text/csv")


def main(names: list[str]) -> None:
    """Record the answers of the operations named, or of all that have none."""
    home = Path(tempfile.mkdtemp(prefix="tributary-record-"))
    home.chmod(0o711)
    platform = RunningPlatform(home, "embedded")
    try:
        platform.start()
        world = World(platform)
        for route in ROUTES:
            operation = OPERATIONS[f"{route.method} {route.template}"]
            file = EXAMPLES / f"{operation.name}.json"
            example = json.loads(file.read_text())
            if operation.name in names or (not names and "answer" not in example):
                shown = {"operationId": operation.name, "x-roles": sorted(route.roles)}
                documented = Documented(route.template, route.method.lower(), shown)
                file.write_text(json.dumps(_recorded(world, documented, example), indent=1, ensure_ascii=False) + "\n")
    finally:
        platform.stop()
        shutil.rmtree(home, ignore_errors=True)


def _recorded(world: World, documented: Documented, example: dict[str, Any]) -> dict[str, Any]:
    ranked = sorted(_RECORDERS, key=lambda role: role != "affiliate") if _is_affiliates(documented.name) else _RECORDERS
    role = next(role for role in ranked if role in documented.roles)
    request = fill(world, documented, example, role)
    answer = send(world, request, role)
    print(documented.name, role, answer.status)
    assert answer.status < 400, answer.text
    recorded: dict[str, Any] = _harmless(_request(request) | {"answer": _answer(answer)}, world)
    return recorded


def _is_affiliates(name: str) -> bool:
    return any(word in name for word in _OF_AFFILIATES)


def _request(request: Filled) -> dict[str, Any]:
    parts = {"path": request.path, "query": request.query, "headers": request.headers, "body": request.body}
    return {name: value for name, value in parts.items() if value}


def _answer(answer: Answer) -> dict[str, Any]:
    if "etag" in answer.headers and answer.body:
        return {"status": answer.status}  # a document would be an example of itself
    kind = answer.headers.get("content-type", "").split(";")[0]
    if kind in _FILES or not answer.text:
        return {"status": answer.status} | ({"content_type": kind} if kind else {})
    return {"status": answer.status, "body": answer.body}


def _harmless(node: Any, world: World) -> Any:
    """Without anything secret, and without the marks that keep tests apart."""
    if isinstance(node, dict):
        return {name: _harmless(value, world) for name, value in node.items()}
    if isinstance(node, list):
        return [_harmless(item, world) for item in node]
    if not isinstance(node, str):
        return node
    if _KEY.search(node):
        return _KEY.sub(lambda key: f"trb_{key[1]}_{key[2]}_{FAKE_SECRET}", node)
    if node == world.merchant.token or (re.fullmatch(r"[A-Za-z0-9_-]{40,}", node) and not _is_public(node)):
        return FAKE_SECRET
    text = node.replace(world.public_url, "https://network.example")
    return _FRESH_NAME.sub(r"\1", text)


def _is_public(text: str) -> bool:
    """A click ID or a hash in hexadecimal, and cursors."""
    return bool(re.fullmatch(r"[0-9a-v]{56}|[0-9a-f]{64}", text)) or text.startswith("eyJ")


if __name__ == "__main__":
    main(sys.argv[1:])
