"""Two changes that took the same migration number at once are seen here, not at the next upgrade."""

import re
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
SETTING = re.compile(r'^(revision|down_revision) = (None|"\d{4}")$', re.MULTILINE)


@pytest.mark.parametrize("service", ["gateway", "clicks", "conversions", "commissions"])
def test_each_migration_follows_the_one_before(service: str) -> None:
    files = sorted((SERVICES / service / "migrations" / "versions").glob("0*.py"))

    stated = [dict(SETTING.findall(file.read_text())) for file in files]

    numbers = [f"{place:04}" for place in range(1, len(files) + 1)]
    assert [file.name[:4] for file in files] == numbers
    assert [each["revision"].strip('"') for each in stated] == numbers
    assert [each["down_revision"].strip('"') for each in stated] == ["None", *numbers[:-1]]
