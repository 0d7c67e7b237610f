"""One step of a payout run in a process of its own, which a failpoint is to kill."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.factories.commissions_api import commissions_api


async def _act(asked: dict[str, Any]) -> None:
    folder = Path(asked["folder"])
    async with commissions_api(asked["url"], folder, clock_file=folder / "clock") as reader:
        await reader.send(
            "POST",
            asked["path"],
            "finance",
            asked["body"],
            key_id=asked["key_id"],
            idempotency_key=asked["idempotency_key"],
        )


if __name__ == "__main__":
    asyncio.run(_act(json.loads(os.environ["ASKED"])))
