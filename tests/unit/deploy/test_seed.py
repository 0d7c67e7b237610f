"""A seeding that was cut off can be taken up again: parties are made once, secrets are asked for anew."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy.local import seed
from deploy.local.seed import AdminApi

IdempotencyKeys = dict[str, list[str]]


class _Gateway(BaseHTTPRequestHandler):
    """Answers every creation with an id and a secret, and notes under which idempotency key it was asked."""

    noted: IdempotencyKeys

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.noted[self.path].append(self.headers["Idempotency-Key"])
        body = json.dumps({"id": 1, "key": "k", "secret": "s"}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def gateway() -> Iterator[tuple[str, IdempotencyKeys]]:
    noted: IdempotencyKeys = defaultdict(list)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Noting", (_Gateway,), {"noted": noted}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", noted
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_second_seeding_repeats_what_can_be_repeated_and_renews_secrets(gateway: tuple[str, IdempotencyKeys]) -> None:
    url, noted = gateway

    for _ in range(2):
        seed._seed(AdminApi(url, "admin"), url, "admin")

    merchants, keys = noted["/v1/merchants"], noted["/v1/keys"]
    assert merchants[: len(merchants) // 2] == merchants[len(merchants) // 2 :]
    assert len(set(keys)) == len(keys)
    assert len(set(noted["/v1/merchants/1/postback-credentials"])) == 4
