"""`python -m services.commissions.verify [--recompute] [--json]`: prove the ledger, or name its first bad row.

Exit code 0: proved. 1: broken, and the line says where. 2: could not be looked at. Says how far it is on standard
error where that is a terminal.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import ValidationError

from services.commissions.settings import CommissionsSettings
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_acts, recompute_ledger
from services.commissions.usecases.verify_ledger import LedgerBroken, LedgerProof, Progress, in_silence, verify_ledger
from shared.runtime.database import Database, sqlstate_of
from shared.runtime.start import explain_settings

STATEMENT_TIMEOUT_MS: Final = 600_000
"""Sums over the whole ledger take longer than a request may."""

OPTIONS: Final = ("--recompute", "--json")
PROGRESS_EVERY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Verification:
    """What was proved. repriced, acts: versions and finance acts that came to the same again; None: not asked for."""

    proof: LedgerProof
    repriced: int | None
    acts: int | None = None

    def __str__(self) -> str:
        proof = self.proof
        line = f"ledger proved: {proof.blocks} blocks, {proof.transactions} transactions, {proof.entries} entries"
        if self.repriced is None:
            return line
        return f"{line}; {self.repriced} versions repriced and {self.acts} finance acts recomputed from their inputs"


class _Line:
    """One line on the terminal's standard error, written over a few times a second and wiped at the end."""

    def __init__(self) -> None:
        self._shown_at = 0.0
        self._is_shown = sys.stderr.isatty()

    def of(self, what: str) -> Progress:
        """A progress that says `what`."""
        return (lambda done, total: self._show(what, done, total)) if self._is_shown else in_silence

    def _show(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown_at >= PROGRESS_EVERY_SECONDS:
            self._shown_at = now
            sys.stderr.write(f"\r\033[K{what} {done:,} of {total:,}")
            sys.stderr.flush()

    def wipe(self) -> None:
        """Leave the terminal as it was."""
        if self._shown_at:
            sys.stderr.write("\r\033[K")


async def verify(database: Database, *, recompute: bool, line: _Line | None = None) -> Verification:
    """Prove it. Raises LedgerBroken. Reads one snapshot: postings may go on meanwhile."""
    progress = line or _Line()
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        proof = await verify_ledger(session, progress.of("verifying block"))
        if not recompute:
            return Verification(proof, None)
        repriced = await recompute_ledger(session, OfferVersions(), progress.of("repricing version"))
        acts = await recompute_acts(session, progress.of("recomputing finance act"))
    return Verification(proof, repriced, acts)


async def _run(settings: CommissionsSettings, *, recompute: bool) -> Verification:
    database = Database(
        settings.database_url("commissions"),
        role="commissions_staff",
        pool_size=1,
        name="commissions-verify",
        statement_timeout_ms=STATEMENT_TIMEOUT_MS,
    )
    line = _Line()
    try:
        return await verify(database, recompute=recompute, line=line)
    finally:
        line.wipe()
        await database.close()


def main(arguments: Sequence[str]) -> int:
    """Verify the database of DATABASE_URL_COMMISSIONS."""
    if not set(arguments) <= set(OPTIONS):
        sys.stderr.write(f"usage: python -m services.commissions.verify {' '.join(f'[{name}]' for name in OPTIONS)}\n")
        return 2
    as_json = "--json" in arguments
    try:
        done = asyncio.run(_run(CommissionsSettings(), recompute="--recompute" in arguments))
    except LedgerBroken as broken:
        fault = {"proved": False, "row": broken.fault.row, "reason": broken.fault.reason}
        _say(f"ledger broken: {broken}", fault, as_json=as_json)
        return 1
    except ValidationError as fault:
        sys.stderr.write(f"the ledger could not be looked at: {explain_settings(fault)}\n")
        return 2
    except Exception as fault:
        state = sqlstate_of(fault)
        sys.stderr.write(f"the ledger could not be looked at: {type(fault).__name__}{f' ({state})' if state else ''}\n")
        return 2
    _say(
        str(done), {"proved": True, **asdict(done.proof), "repriced": done.repriced, "acts": done.acts}, as_json=as_json
    )
    return 0


def _say(line: str, document: dict[str, Any], *, as_json: bool) -> None:
    sys.stdout.write(f"{json.dumps(document, indent=2) if as_json else line}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
