"""T36: one key at four gateway processes, with a burst at the edge of the window."""

from tests.faults.bench import Bench
from tests.faults.measured_by_test import measured_by
from tests.faults.scorecard import Measured, scorecard_row

TEST = "tests/integration/gateway/test_exact_limits.py::test_four_processes_keep_one_limit"


@scorecard_row("T36", "rate limit over four gateways", tiers=("P", "N"))
async def exact_limits(bench: Bench) -> Measured:
    """Four real processes on one real PostgreSQL: never over 105 % of the limit, never under 95 % of what is due."""
    return await measured_by(bench, "T36", TEST, operations=("passed", "refused"))
