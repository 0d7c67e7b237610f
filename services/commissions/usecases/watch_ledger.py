"""Prove the ledger a few blocks at a time, again and again, and show how far and whether it holds."""

import time
from collections import Counter
from typing import Final

from services.commissions.storage.ledger_reader import (
    StoredBlock,
    last_block_number,
    list_blocks_after,
    sum_currencies,
)
from services.commissions.usecases.verify_ledger import LedgerBroken, verify_span
from shared.kernel.clock import Clock
from shared.runtime.database import Session
from shared.runtime.logging import get_logger
from shared.runtime.metrics import gauge

BLOCKS_AT_ONCE: Final = 20
"""A block holds one batch of postings: a few thousand ledger transactions at most are read in one go."""

ROUND_SECONDS: Final = 3_600.0
"""How often everything is proved from the first block again; new blocks are proved as they come."""

_log = get_logger(__name__)
_head = gauge("ledger_head", unit="block", meaning="Number of the newest block")
_verified = gauge("ledger_verified", unit="block", meaning="Blocks proved in this round, from the first to this one")
_broken = gauge("ledger_broken", unit="flag", meaning="1 while a block is not what was written; the log names the row")
_imbalance = gauge(
    "ledger_imbalance", unit="minor", meaning="Sum of all entries proved in this round: anything but 0 is a fault",
    labels=["currency"],
)  # fmt: skip


class LedgerWatch:
    """The state of one worker's rounds. Cheap beside posting: it reads each block about once an hour.

    `make verify` proves more: commissions against entries, closed periods, and every price.
    """

    def __init__(self) -> None:
        self._after: StoredBlock | None = None
        self._sums: Counter[str] = Counter()
        self._round_ends_seconds = time.monotonic() + ROUND_SECONDS

    @property
    def verified_block(self) -> int:
        """The last block proved in this round, 0 before the first."""
        return 0 if self._after is None else self._after.block.number

    async def step(self, session: Session, _: Clock) -> int:
        """Prove the next few blocks; gives how many, 0 at the newest one or before one that is broken."""
        number = self.verified_block
        _head.set(await last_block_number(session))
        blocks = await list_blocks_after(session, number, limit=BLOCKS_AT_ONCE)
        if not blocks:
            self._begin_again_when_due()
            return 0
        sums = Counter(self._sums)
        sums.update(await sum_currencies(session, first=number + 1, last=blocks[-1].block.number))
        for currency, amount_minor in sums.items():
            _imbalance.labels(currency).set(amount_minor)
        try:
            await verify_span(session, blocks, after=self._after)
        except LedgerBroken as broken:
            _broken.set(1)
            _log.critical("ledger_broken", row=broken.fault.row, reason=broken.fault.reason)
            return 0
        _broken.set(0)
        self._after, self._sums = blocks[-1], sums
        _verified.set(blocks[-1].block.number)
        return len(blocks)

    def _begin_again_when_due(self) -> None:
        if time.monotonic() >= self._round_ends_seconds:
            self._after, self._sums = None, Counter()
            self._round_ends_seconds = time.monotonic() + ROUND_SECONDS
