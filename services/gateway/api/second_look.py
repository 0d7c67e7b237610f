"""Keys from addresses that are out of patience: looked up many at a time, so that guesses cost next to nothing.

A guess at an id that does not exist tests no secret. A good key that was just issued opens, wherever its caller sits.
"""

import asyncio
from typing import Final

from services.gateway.domain.api_keys import ApiKey
from services.gateway.storage.key_store import look_up_keys
from shared.runtime.database import Database
from shared.runtime.fill import Fill

IDS_MAX: Final = 500
"""Ids in one statement; one is under way at a time. Whoever comes while as many wait is refused without a look."""


_fill = Fill("second_looks", limit=IDS_MAX)


class SecondLook:
    """Finds keys by id, one statement for all who wait. Lives in one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, asyncio.Future[ApiKey | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> ApiKey | None:
        """The stored key; None too when too many wait. Raises what the database raises."""
        answer = self._waiting.get(key_id)
        if answer is None:
            if len(self._waiting) >= IDS_MAX:
                _fill.refused()
                return None
            answer = self._waiting[key_id] = asyncio.get_running_loop().create_future()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(answer)

    async def _look(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            _fill.set(len(waiting))
            try:
                found = {key.key_id: key for key in await look_up_keys(self._database, list(waiting))}
            except Exception as fault:
                for answer in waiting.values():
                    answer.set_exception(fault)
                    answer.exception()  # every caller may have left: nobody else would ask for it
            else:
                for key_id, answer in waiting.items():
                    answer.set_result(found.get(key_id))
        self._looking = None
