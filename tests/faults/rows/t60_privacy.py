"""T60: what a shopper leaves is searched for in everything the platform keeps, after no consent, erasure and expiry."""

from tests.faults.bench import Bench
from tests.faults.measured_by_test import measured_by
from tests.faults.scorecard import Measured, scorecard_row

TESTS = "tests/e2e/test_privacy.py"


@scorecard_row("T60", "privacy: consent, erasure, expiry", tiers=("P", "N"))
async def privacy(bench: Bench) -> Measured:
    """On both event logs: no planted value is found, and the ledger keeps every byte. N: value times place searched."""
    await bench.discard_platform()
    return await measured_by(bench, "T60", TESTS, operations=("searches",))
