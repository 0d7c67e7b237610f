"""A worker that does bulk jobs until none is open, a process that a test may kill: `… bulk_actor <url>`."""

import asyncio
import sys

from services.conversions.usecases.work_bulk_jobs import work_bulk_jobs
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database


async def main(url: str) -> None:
    """Work until there is nothing to do."""
    database = Database(url, role="conversions_worker", pool_size=1)
    done = 1
    while done:
        async with database.transaction() as session:
            done = await work_bulk_jobs(session, SystemClock())
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
