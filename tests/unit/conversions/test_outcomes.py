"""The numbered outcomes are public: what the README says is what the code does."""

import re
from pathlib import Path

from services.conversions.domain.outcomes import Outcome

README = Path(__file__).parents[3] / "services" / "conversions" / "README.md"
ROW = re.compile(r"^\| (\d{3}) \| (\w+) \| (\d{3}) \|", re.MULTILINE)


def test_the_readme_lists_every_outcome_with_its_status() -> None:
    listed = {(int(code), name, int(status)) for code, name, status in ROW.findall(README.read_text())}

    assert listed == {(int(outcome), outcome.label, outcome.http_status) for outcome in Outcome}


def test_taken_is_2xx_and_refused_is_not() -> None:
    assert all((outcome < 300) == (outcome.http_status < 300) for outcome in Outcome)
