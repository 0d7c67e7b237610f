"""Payout runs, their lines, the hashes of their files, and the bank's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from services.commissions.domain.payout_batch import Debtor
from services.commissions.domain.payout_run import LineState, PayoutLine, PayoutRun, RunState, RunTerms
from services.commissions.domain.payout_settings import Method
from shared.runtime.database import Session

_RUN: Final = (
    "run_id, currency, method, up_to, block_number, state, drafted_at, drafted_by, approved_at, approved_by,"
    " exported_at, exported_by"
)
_LINE: Final = "run_id, affiliate_id, line_id, state, reason_code, drafted_minor, amount_minor, settings_version"
_DRAFT_LOCK: Final = 7_406_241


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What the bank said of a line."""

    affiliate_id: int
    state: LineState
    reason_code: str | None
    answered_on: date
    bank_reference: str | None


@dataclass(frozen=True, slots=True)
class LineSum:
    """Lines of one run in one state, for one reason."""

    state: LineState
    reason: str | None
    count: int
    amount_minor: int


async def lock_drafting(session: Session) -> None:
    """One run is drafted at a time: nobody's balance is looked at twice at once."""
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1::bigint)", (_DRAFT_LOCK,))


async def insert_run(session: Session, run: PayoutRun, lines: Sequence[PayoutLine]) -> None:
    """A new run with its lines, those left out as well."""
    connection = await session.connection()
    terms = run.terms
    await connection.exec_driver_sql(
        "INSERT INTO payout_run (run_id, currency, method, up_to, block_number, state, drafted_at, drafted_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        (
            run.run_id,
            terms.currency,
            terms.method.value,
            terms.up_to,
            run.block_number,
            run.state.value,
            run.drafted_at,
            run.drafted_by,
        ),
    )
    await connection.exec_driver_sql(
        f"INSERT INTO payout_line ({_LINE}, currency, method, up_to)"  # noqa: S608 (column names of our own)
        " SELECT $1, affiliate_id, line_id, state, reason_code, amount, amount, NULL, $2, $3, $4"
        " FROM unnest($5::int[], $6::uuid[], $7::text[], $8::text[], $9::bigint[])"
        "   AS line (affiliate_id, line_id, state, reason_code, amount)",
        (
            run.run_id,
            terms.currency,
            terms.method.value,
            terms.up_to,
            [line.affiliate_id for line in lines],
            [line.line_id for line in lines],
            [line.state.value for line in lines],
            [line.reason for line in lines],
            [line.amount_minor for line in lines],
        ),
    )


async def find_run(session: Session, run_id: UUID, *, locked: bool = False) -> PayoutRun | None:
    """One run; `locked` until the transaction ends."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_RUN} FROM payout_run WHERE run_id = $1{' FOR UPDATE' if locked else ''}",  # noqa: S608
        (run_id,),
    )
    row = result.one_or_none()
    return None if row is None else _run(row)


async def list_runs(session: Session, *, before: tuple[datetime, UUID] | None, limit: int) -> list[PayoutRun]:
    """Runs, newest first."""
    connection = await session.connection()
    before_at, before_id = before or (None, None)
    result = await connection.exec_driver_sql(
        f"SELECT {_RUN} FROM payout_run"  # noqa: S608 (column names of our own)
        " WHERE $1::timestamptz IS NULL OR (drafted_at, run_id) < ($1, $2::uuid)"
        " ORDER BY drafted_at DESC, run_id DESC LIMIT $3",
        (before_at, before_id, limit),
    )
    return [_run(row) for row in result]


async def find_lines(
    session: Session, run_id: UUID, *, states: Sequence[LineState], after_id: int = 0, limit: int | None = None
) -> list[PayoutLine]:
    """A run's lines in these states, by affiliate."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_LINE} FROM payout_line"  # noqa: S608 (column names of our own)
        " WHERE run_id = $1 AND state = ANY ($2::text[]) AND affiliate_id > $3 ORDER BY affiliate_id LIMIT $4",
        (run_id, [state.value for state in states], after_id, limit),
    )
    return [_line(row) for row in result]


async def sum_lines(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, list[LineSum]]:
    """How many lines of each run are in which state, and what they come to."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT run_id, state, reason_code, count(*) AS lines, sum(amount_minor) AS amount FROM payout_line"
        " WHERE run_id = ANY ($1::uuid[]) GROUP BY 1, 2, 3 ORDER BY 2, 3",
        (list(run_ids),),
    )
    sums: dict[UUID, list[LineSum]] = {run_id: [] for run_id in run_ids}
    for row in result:
        sums[row.run_id].append(LineSum(LineState(row.state), row.reason_code, row.lines, int(row.amount)))
    return sums


async def find_in_open_runs(session: Session, *, currency: str, besides: UUID | None) -> set[int]:
    """Affiliates that stand in a run of this currency that is neither exported nor cancelled; `besides` one run."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id FROM payout_line WHERE currency = $1::char(3) AND state IN ('draft', 'approved')"
        " AND ($2::uuid IS NULL OR run_id <> $2)",
        (currency, besides),
    )
    return {row.affiliate_id for row in result}


async def store_run(session: Session, run: PayoutRun) -> None:
    """The run's state and who brought it there. The caller holds its lock."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE payout_run SET state = $2, approved_at = $3, approved_by = $4, exported_at = $5, exported_by = $6"
        " WHERE run_id = $1",
        (run.run_id, run.state.value, run.approved_at, run.approved_by, run.exported_at, run.exported_by),
    )


async def store_payer(session: Session, run_id: UUID, payer: Debtor | None) -> None:
    """The account that the run pays from, frozen at its approval."""
    connection = await session.connection()
    document = None if payer is None else {name: getattr(payer, name) for name in Debtor.__slots__}
    await connection.exec_driver_sql(
        "UPDATE payout_run SET payer = $2::text::jsonb WHERE run_id = $1",
        (run_id, None if document is None else orjson.dumps(document).decode()),
    )


async def find_payer(session: Session, run_id: UUID) -> Debtor | None:
    """The account that the run pays from."""
    connection = await session.connection()
    result = await connection.exec_driver_sql("SELECT payer::text FROM payout_run WHERE run_id = $1", (run_id,))
    text = result.scalar_one()
    return None if text is None else Debtor(**orjson.loads(text))


async def store_lines(session: Session, lines: Sequence[PayoutLine], *, exported_at: datetime | None = None) -> None:
    """Each line's state, reason, amount and frozen version. The caller holds the run's lock."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE payout_line AS line SET state = new.state, reason_code = new.reason_code,"
        " amount_minor = new.amount_minor, settings_version = new.settings_version,"
        " exported_at = CASE WHEN new.state = 'exported' THEN $7::timestamptz ELSE line.exported_at END"
        " FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::int[])"
        "   AS new (run_id, affiliate_id, state, reason_code, amount_minor, settings_version)"
        " WHERE line.run_id = new.run_id AND line.affiliate_id = new.affiliate_id",
        (
            [line.run_id for line in lines],
            [line.affiliate_id for line in lines],
            [line.state.value for line in lines],
            [line.reason for line in lines],
            [line.amount_minor for line in lines],
            [line.settings_version for line in lines],
            exported_at,
        ),
    )


async def store_answers(session: Session, run_id: UUID, answers: Sequence[LineAnswer]) -> None:
    """What the bank said of a run's lines."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE payout_line AS line SET state = new.state, reason_code = new.reason_code,"
        " answered_on = new.answered_on, bank_reference = new.bank_reference"
        " FROM unnest($2::int[], $3::text[], $4::text[], $5::date[], $6::text[])"
        "   AS new (affiliate_id, state, reason_code, answered_on, bank_reference)"
        " WHERE line.run_id = $1 AND line.affiliate_id = new.affiliate_id",
        (
            run_id,
            [answer.affiliate_id for answer in answers],
            [answer.state.value for answer in answers],
            [answer.reason_code for answer in answers],
            [answer.answered_on for answer in answers],
            [answer.bank_reference for answer in answers],
        ),
    )


async def insert_file(session: Session, run_id: UUID, *, format: str, sha256: bytes, size_bytes: int) -> None:
    """The hash of a run's file, so that every later writing is held against it."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO payout_file (run_id, format, sha256, size_bytes) VALUES ($1, $2, $3, $4)",
        (run_id, format, sha256, size_bytes),
    )


async def find_file_hash(session: Session, run_id: UUID, format: str) -> bytes | None:
    """The hash of the run's file of this format."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT sha256 FROM payout_file WHERE run_id = $1 AND format = $2", (run_id, format)
    )
    found = result.scalar_one_or_none()
    return None if found is None else bytes(found)


async def find_answer(session: Session, run_id: UUID, sha256: bytes) -> Mapping[str, int] | None:
    """What came of the same file before; None where it is new to this run."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT counts::text FROM payout_answer WHERE run_id = $1 AND sha256 = $2", (run_id, sha256)
    )
    found = result.scalar_one_or_none()
    return None if found is None else orjson.loads(found)


async def insert_answer(
    session: Session, run_id: UUID, sha256: bytes, counts: Mapping[str, int], *, now: datetime
) -> None:
    """A bank's file that was taken, and what came of it."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO payout_answer (run_id, sha256, counts, received_at) VALUES ($1, $2, $3::text::jsonb, $4)",
        (run_id, sha256, orjson.dumps(dict(counts)).decode(), now),
    )


def _run(row: Any) -> PayoutRun:
    return PayoutRun(
        run_id=row.run_id,
        terms=RunTerms(row.currency, Method(row.method), row.up_to),
        block_number=row.block_number,
        state=RunState(row.state),
        drafted_at=row.drafted_at,
        drafted_by=row.drafted_by,
        approved_at=row.approved_at,
        approved_by=row.approved_by,
        exported_at=row.exported_at,
        exported_by=row.exported_by,
    )


def _line(row: Any) -> PayoutLine:
    return PayoutLine(
        run_id=row.run_id,
        affiliate_id=row.affiliate_id,
        line_id=row.line_id,
        state=LineState(row.state),
        reason=row.reason_code,
        drafted_minor=row.drafted_minor,
        amount_minor=row.amount_minor,
        settings_version=row.settings_version,
    )
