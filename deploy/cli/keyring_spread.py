"""How long a changed keyring file takes to be known to every process that reads it."""

import math
import time
from pathlib import Path
from typing import Final

from deploy.cli.output import complain
from shared.runtime.keyring import POLL_SECONDS

SPREAD_SECONDS: Final = 5 * POLL_SECONDS
"""Each process looks at the file once per POLL_SECONDS."""


def wait_until_known(path: Path) -> None:
    """Return when every process has had the time to read the file. By its age: any change counts."""
    wait_seconds = SPREAD_SECONDS - (time.time() - path.stat().st_mtime)
    if wait_seconds > 0:
        wait_seconds = min(wait_seconds, SPREAD_SECONDS)  # a file from the future
        complain(f"The file changed a moment ago; waiting {math.ceil(wait_seconds)} s for every process to read it.")
        time.sleep(wait_seconds)
