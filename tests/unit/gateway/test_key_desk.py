"""The key desk: one look for many requests, and no memory of what was revoked while it looked."""

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest

from services.gateway.api import key_desk
from services.gateway.api.key_desk import KeyDesk
from services.gateway.domain.api_keys import ApiKey, key_hash, spell_key
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database
from shared.runtime.problem import Problem

SPELLING = spell_key("admin", bytes(40))
KEY = ApiKey(
    key_id="aaaaaaaa",
    role="admin",
    merchant_id=None,
    affiliate_id=None,
    label="key",
    secret_sha256=key_hash(SPELLING),
    replaces_key_id=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=None,
    revoked_at=None,
)


class Looks:
    """Stands for the database: counts looks, and answers when let."""

    def __init__(self) -> None:
        self.count = 0
        self.may_answer = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self, database: Database, key_id: str) -> ApiKey | None:
        """One look."""
        del database
        self.count += 1
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return KEY if key_id == KEY.key_id else None


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """The stand-in, in place."""
    stand_in = Looks()
    monkeypatch.setattr(key_desk, "look_up_key", stand_in)
    return stand_in


def _desk() -> KeyDesk:
    return KeyDesk(cast(Database, None), SystemClock())


async def test_requests_at_once_share_one_look(looks: Looks) -> None:
    desk = _desk()
    waiting = [asyncio.create_task(desk.verify(SPELLING)) for _ in range(20)]
    await asyncio.sleep(0)
    looks.may_answer.set()

    assert await asyncio.gather(*waiting) == [KEY] * 20
    assert looks.count == 1
    assert desk.remembered(SPELLING) == KEY


async def test_a_look_older_than_a_revocation_is_not_remembered(looks: Looks) -> None:
    desk = _desk()
    before = asyncio.create_task(desk.verify(SPELLING))
    await asyncio.sleep(0)

    desk.forget(KEY.key_id)
    after = asyncio.create_task(desk.verify(SPELLING))
    looks.may_answer.set()
    await asyncio.gather(before, after)

    assert looks.count == 2
    desk.forget(KEY.key_id)
    assert desk.remembered(SPELLING) is None


async def test_a_caller_that_leaves_does_not_take_the_others_answer_along(looks: Looks) -> None:
    desk = _desk()
    first, second = asyncio.create_task(desk.verify(SPELLING)), asyncio.create_task(desk.verify(SPELLING))
    await asyncio.sleep(0)
    first.cancel()
    looks.may_answer.set()

    assert await second == KEY


async def test_without_the_database_only_keys_verified_lately_open(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _desk()
    looks.may_answer.set()
    await desk.verify(SPELLING)
    looks.fault = ConnectionError()

    assert await desk.verify(SPELLING) == KEY
    with pytest.raises(Problem, match="503"):
        await desk.verify(spell_key("admin", bytes([1] * 40)))
    monkeypatch.setattr(key_desk, "OUTAGE_GRACE_SECONDS", -1.0)
    with pytest.raises(Problem, match="503"):
        await desk.verify(SPELLING)
