"""T35: a merchant at ten times its limit; the others' p99 beside what it is when that one keeps to its limit."""

from tests.faults.bench import Bench
from tests.faults.measured_by_test import measured_by
from tests.faults.scorecard import Measured, scorecard_row

TEST = "tests/integration/conversions/test_noisy_merchant.py::test_a_noisy_merchant_does_not_slow_the_others"


@scorecard_row("T35", "noisy merchant", tiers=("P", "N"))
async def noisy_merchant(bench: Bench) -> Measured:
    """The conversions door on a real PostgreSQL, two merchants."""
    return await measured_by(bench, "T35", TEST, operations=("noisy",))
