"""What `metrics` shows of processes that tell, and of one that does not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import metrics
from deploy.cli.main import app
from deploy.cli.processes import Running
from deploy.local.state_folder import StateFolder
from shared.runtime.metrics import gauge, render_metrics

_shown = gauge("test_shown_here", unit="things", meaning="what the command has to find", labels=["service"])


class _Told(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = render_metrics()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Told) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _stub(monkeypatch: pytest.MonkeyPatch, *found: Running) -> None:
    def find(_state: StateFolder) -> list[Running]:
        return list(found)

    monkeypatch.setattr(metrics, "find_running", find)


def test_lines_with_every_word_are_shown(home: Path, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    _stub(monkeypatch, Running("clicks-api", 11, port), Running("postgres", 12, None))
    _shown.labels("clicks").set(7)
    _shown.labels("gateway").set(8)

    result = CliRunner().invoke(app, ["metrics", "shown_here", "service=clicks", "--json"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [
        {"process": "clicks-api", "series": "test_shown_here_things", "labels": ["service=clicks"], "value": 7.0}
    ]


def test_a_process_that_does_not_tell_is_exit_1_and_hides_nothing_of_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    _stub(monkeypatch, Running("clicks-api", 11, port), Running("clicks-worker", None, None, "not running"))
    _shown.labels("clicks").set(7)

    result = CliRunner().invoke(app, ["metrics", "shown_here"])

    assert result.exit_code == 1
    assert "test_shown_here_things" in result.stdout
    assert "clicks-worker does not tell: not running" in result.stderr
