"""What the driver is told on its command line."""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Final

DEMO_FILE: Final = Path(".tributary/demo.json")
"""What `make run` noted of its seeded network; its URL and first key lie beside it."""
CLICKS_DEFAULT: Final = 2_000
POSTBACKS_DEFAULT: Final = 200
HISTORY_NAME: Final = "demo-history.jsonl"


class OptionMissing(Exception):
    """The driver does not know where to go or how to get in."""


@dataclass(frozen=True, slots=True)
class Options:
    """public_url: the public port. spread_seconds: over how long to spread the traffic, 0 for as fast as it goes."""

    public_url: str
    admin_key: str
    clicks: int
    postbacks: int
    seed: int
    spread_seconds: float
    history: Path


def read_options(arguments: Sequence[str]) -> Options:
    """The options, filled up from the environment and from what `make run` left. Raises OptionMissing."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument(
        "--public-url", default=os.environ.get("PUBLIC_URL"), help="default: PUBLIC_URL, else make run's"
    )
    parser.add_argument("--admin-key", default=os.environ.get("TRIBUTARY_ADMIN_KEY"), help="default: make run's")
    parser.add_argument("--demo-file", type=Path, default=os.environ.get("TRIBUTARY_DEMO_FILE") or DEMO_FILE)
    parser.add_argument("--clicks", type=int, default=CLICKS_DEFAULT)
    parser.add_argument("--postbacks", type=int, default=POSTBACKS_DEFAULT)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spread-seconds", type=float, default=0.0, help="spread the traffic over this time")
    parser.add_argument("--history", type=Path, help="default: beside the demo file, else in the temporary folder")
    given = parser.parse_args(arguments)
    noted = json.loads(given.demo_file.read_text()) if given.demo_file.exists() else {}
    folder = given.demo_file.parent
    public_url = given.public_url or noted.get("public_url") or _text_of(folder / "public_url")
    admin_key = given.admin_key or noted.get("admin_key") or _text_of(folder / "keys" / "bootstrap_admin_key")
    if not public_url or not admin_key:
        raise OptionMissing("Where is the platform? Start it with `make run`, or give --public-url and --admin-key.")
    return Options(
        public_url=public_url,
        admin_key=admin_key,
        clicks=given.clicks,
        postbacks=given.postbacks,
        seed=given.seed,
        spread_seconds=given.spread_seconds,
        history=given.history or _history_in(folder),
    )


def _history_in(folder: Path) -> Path:
    """In the network's folder where there is one. It is not ours to make: whoever starts a network does."""
    return folder / HISTORY_NAME if folder.exists() else Path(gettempdir()) / f"tributary-{os.getpid()}-{HISTORY_NAME}"


def _text_of(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
