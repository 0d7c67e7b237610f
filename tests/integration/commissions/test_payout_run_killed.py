"""kill -9 at every step of a payout run, and the step sent again: each payee is in exactly one file, once (T17)."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.commissions.domain.payout_batch import end_to_end_id_of
from services.commissions.domain.payout_run import line_id_of
from services.commissions.verify import verify
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions_api import commissions_api
from tests.factories.ledger import query
from tests.factories.payout_stage import RUNS, PayoutStage, settlement_body

REPOSITORY = Path(__file__).parents[3]
STEPS = ("draft", "approve", "export", "settle")
BEFORE_ANSWER = "commissions.written_before_answer"
FAILPOINTS = [
    ("draft", "payouts.drafted_before_commit"),
    ("approve", "payouts.approved_before_commit"),
    ("export", "payouts.exported_before_posting"),
    ("export", "payouts.exported_before_commit"),
    ("settle", "payouts.settled_before_commit"),
    *((step, BEFORE_ANSWER) for step in STEPS),
]
pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Act:
    """Steps of one run, one of them in a process of its own."""

    stage: PayoutStage
    url: str
    killed_step: str
    failpoint: str

    async def step(self, name: str, path: str, body: Any = None) -> dict[str, Any]:
        """The step, killed once if it is the one to be killed, and sent again under its key."""
        key, key_id = uuid4().hex, "drafter" if name == "draft" else "second"
        if name == self.killed_step:
            assert await self._killed(path, body, key_id, key) == -signal.SIGKILL
        answer = await self.stage.reader.send("POST", path, "finance", body, key_id=key_id, idempotency_key=key)
        assert answer.status_code in (200, 201), answer.text
        is_told_again = name == self.killed_step and self.failpoint == BEFORE_ANSWER
        assert answer.headers.get("Idempotent-Replayed") == ("true" if is_told_again else None)
        found: dict[str, Any] = answer.json()
        return found

    async def _killed(self, path: str, body: Any, key_id: str, key: str) -> int:
        asked = {
            "url": self.url,
            "folder": str(self.stage.folder),
            "path": path,
            "body": body,
            "key_id": key_id,
            "idempotency_key": key,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.commissions.payout_actor",
            cwd=REPOSITORY,
            env={**os.environ, "ASKED": json.dumps(asked), "TRIBUTARY_ENV": "test", "FAILPOINT": self.failpoint},
        )
        async with asyncio.timeout(60):
            return await process.wait()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[PayoutStage]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        stage = PayoutStage(reader, worker_database, tmp_path)
        await stage.publish()
        yield stage
        await stage.clear()


@pytest.mark.parametrize(("step", "failpoint"), FAILPOINTS, ids=[f"{step}-{name}" for step, name in FAILPOINTS])
async def test_a_run_killed_at_any_step_and_sent_again_pays_each_payee_once(
    stage: PayoutStage, postgres: TestPostgres, step: str, failpoint: str
) -> None:
    payees = [await stage.payee(10_000 + number) for number in range(3)]
    act = Act(stage, postgres.migrate("commissions"), step, failpoint)

    run = await act.step("draft", RUNS, {"currency": "EUR", "method": "bank", "up_to": "2026-11-24"})
    stage.opened.append(run["id"])
    for verb in ("approve", "export"):
        await act.step(verb, f"{RUNS}/{run['id']}/{verb}")
    paid = stage.lines_of(await stage.file(run["id"]))
    body = settlement_body([(name, amount, "settled") for name, amount in paid])
    settled = await act.step("settle", f"{RUNS}/{run['id']}/settlements", body)

    assert dict(paid) == {
        end_to_end_id_of(line_id_of(UUID(run["id"]), affiliate_id)): f"100.0{number}"
        for number, affiliate_id in enumerate(payees)
    }
    assert len(paid) == len(payees)
    assert settled["run"]["state"] == "settled"
    rows = await query(
        stage.worker,
        "SELECT affiliate_id, array_agg(DISTINCT run_id::text), count(*) FROM payout_line"
        " WHERE affiliate_id = ANY ($1::int[]) AND exported_at IS NOT NULL GROUP BY 1 ORDER BY 1",
        payees,
    )
    assert rows == [(affiliate_id, [run["id"]], 1) for affiliate_id in payees]
    [(posted, transactions)] = await query(
        stage.worker,
        "SELECT sum(e.amount_minor)::bigint, count(DISTINCT t.transaction_id) FROM ledger_entry AS e"
        " JOIN ledger_transaction AS t USING (transaction_id)"
        " WHERE t.kind = 'payout' AND e.affiliate_id = ANY ($1::int[])",
        payees,
    )
    assert (posted, transactions) == (30_003, 3)
    assert sum(int(amount.replace(".", "")) for _, amount in paid) == posted
    assert await stage.clearing(run["id"]) == 0
    assert [await stage.balance(each) for each in payees] == [
        {"payable": "0.00", "paid": f"100.0{number}"} for number in range(3)
    ]
    await verify(stage.staff, recompute=True)
