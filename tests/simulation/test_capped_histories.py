"""However events are delivered: no cap is exceeded, each is the sum of what stands, and it can be proved."""

import asyncio
import random
from uuid import UUID, uuid4

import pytest

from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_ledger
from services.commissions.usecases.release_commissions import release_commissions
from services.commissions.usecases.verify_ledger import verify_ledger
from shared.contracts.catalogue import CapV1
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import FLAT, PERCENTAGE, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, ledger_sha256, query
from tests.simulation.test_same_ledger import _disturbed, _history

LIVES = 60
WORKERS = 3


@pytest.mark.parametrize("seed", range(6))
async def test_no_cap_is_exceeded_and_each_is_the_sum_of_what_stands(postgres: TestPostgres, seed: int) -> None:
    chance = random.Random(seed)
    database = Database(postgres.migrate("commissions"), role="commissions_staff", pool_size=1)
    workers = Database(postgres.migrate("commissions"), role="commissions_worker", pool_size=WORKERS)
    offer_id, ids = fresh_id(), [uuid4() for _ in range(LIVES)]
    limits = {"budget": chance.randrange(0, 60_000), "mine": chance.randrange(0, 30_000), "leads": chance.randrange(9)}
    caps = [
        CapV1(name="budget", scope="offer", period="month", amount=euros(limits["budget"])),
        CapV1(name="mine", scope="affiliate", period="day", amount=euros(limits["mine"]), event="sale"),
        CapV1(name="leads", scope="affiliate", period="total", count=limits["leads"], event="lead"),
    ]
    await Desk(workers).publish(offer_version(offer_id, terms=[PERCENTAGE, FLAT], caps=caps))
    history = _history(chance, ids, offer_id)

    async def work(own_seed: int) -> None:
        desk = Desk(workers)
        for batch in _disturbed(random.Random(own_seed), history):
            await desk.convert(*batch)
            await _never_above(database, offer_id, limits)

    await asyncio.gather(*(work(seed * WORKERS + place) for place in range(WORKERS)))
    released = await _release_some(database, chance, offer_id)
    before = await ledger_sha256(database)
    await work(seed)
    async with database.transaction() as session:
        await verify_ledger(session)
        await recompute_ledger(session, OfferVersions())
    after = await ledger_sha256(database)
    standing = await _sums(database, offer_id)
    for each in (database, workers):
        await each.close()

    assert after == before
    assert standing["usage"] == standing["commissions"]
    assert released or standing["over_cap"] == 0


async def _never_above(database: Database, offer_id: int, limits: dict[str, int]) -> None:
    rows = await query(database, "SELECT name, reserved FROM cap_usage WHERE offer_id = $1", offer_id)
    assert all(int(str(reserved)) <= limits[str(name)] for name, reserved in rows)


async def _release_some(database: Database, chance: random.Random, offer_id: int) -> int:
    """Finance lets half of what waits pass; gives how many."""
    rows = await query(
        database,
        "SELECT commission_id, conversion_id FROM commission WHERE offer_id = $1 AND status = 'over_cap' ORDER BY 1",
        offer_id,
    )
    chosen = {UUID(str(one)): UUID(str(of)) for one, of in rows[: (len(rows) + 1) // 2]}
    async with database.transaction() as session:
        done = await release_commissions(
            session,
            chosen,
            offer_versions=OfferVersions(),
            actor="key:f",
            reason_code="goodwill",
            now=Desk(database).clock.now(),
        )
    assert done.released.keys() == chosen.keys()
    return len(chosen)


async def _sums(database: Database, offer_id: int) -> dict[str, int]:
    """What the offer's month is used by, and what its commissions charge."""
    (row,) = await query(
        database,
        "SELECT (SELECT coalesce(sum(reserved + released), 0)::bigint FROM cap_usage"
        "   WHERE offer_id = $1 AND name = 'budget'),"
        " coalesce(sum(commission_minor + margin_minor), 0)::bigint, count(*) FILTER (WHERE status = 'over_cap')"
        " FROM commission WHERE offer_id = $1",
        offer_id,
    )
    return dict(zip(("usage", "commissions", "over_cap"), (int(str(each)) for each in row), strict=True))
