"""Nothing is kept that nobody has thought about: every column of every table and every event's field has its class."""

import re
from pathlib import Path

import asyncpg
import pytest

from deploy.privacy.inventory import EVENTS, EXPLAINED, RUNTIME_TABLES, TABLES, class_of
from tests.conftest import TestPostgres
from tests.contracts.test_examples import EVENTS as EVENT_TYPES

PAGE = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text()
_COLUMNS = """
    SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attnum > 0 AND NOT a.attisdropped
"""


@pytest.mark.parametrize("service", sorted(TABLES))
async def test_every_column_of_every_table_has_its_class(postgres: TestPostgres, service: str) -> None:
    postgres.migrate(service)
    connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
    there: dict[str, set[str]] = {}
    for table, column in await connection.fetch(_COLUMNS):
        there.setdefault(table, set()).add(column)
    await connection.close()
    known = {**RUNTIME_TABLES, **TABLES[service]}

    assert {name: sorted(columns) for name, columns in there.items()} == {
        name: sorted(class_of(known[name])) for name in there if name in known
    }
    assert set(TABLES[service]) <= set(there)


def test_every_field_of_every_event_has_its_class() -> None:
    fields = {event.__struct_config__.tag: set(event.__struct_fields__) for event in EVENT_TYPES}

    assert {tag: set(class_of(EVENTS[tag])) for tag in EVENTS} == fields


def test_the_page_explains_every_column_that_says_something_of_somebody() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE))
    explained = {
        f"{table}.{column}"
        for tables in (RUNTIME_TABLES, *TABLES.values())
        for table, classes in tables.items()
        for column, kind in class_of(classes).items()
        if kind in EXPLAINED
    }

    assert sorted(explained - named) == []
    assert sorted(name for name in named if name.split(".")[0] not in {t.split(".")[0] for t in explained}) == []


def test_events_that_are_kept_for_ever_say_nothing_of_a_shopper() -> None:
    for tag in ("conversion_changed", "commission_posted"):
        assert "shopper" not in EVENTS[tag]
