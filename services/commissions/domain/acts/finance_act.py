"""A finance act: why value moved where no conversion moved it, with every input that its amounts follow from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.commissions.domain.ledger import LedgerEntry, LedgerTransaction, TransactionKind
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id


class ActImpossible(TributaryError):
    """Inputs that no posting follows from."""

    code = "act_impossible"


@dataclass(frozen=True, slots=True)
class FinanceAct:
    """One act. Its transactions follow from its kind and its inputs alone, now and on every recomputing.

    inputs: JSON values, whole numbers and text only: amounts in minor units, rates as decimal text with their source
    and date. Never a bank detail nor a personal value: they are kept for ever and travel in commissions.v1.
    actor: `key:<id>` of who acted, or `rule:<name>`. occurred_at: when it was decided.
    """

    act_id: UUID
    kind: str
    inputs: Mapping[str, Any]
    actor: str
    occurred_at: datetime
    reason_code: str | None = None


def act_transaction(
    act: FinanceAct, kind: TransactionKind, entries: Sequence[LedgerEntry], *, part: str = "", **names: Any
) -> LedgerTransaction:
    """A transaction of `act`. part: tells several of one kind apart. names: further fields, such as offer_id.

    Its id is UUIDv5 of the act, the kind and the part. Raises TransactionUnbalanced.
    """
    return LedgerTransaction(
        transaction_id=derived_id(act.act_id, f"{kind.value}:{part}" if part else kind.value),
        kind=kind,
        occurred_at=act.occurred_at,
        entries=tuple(entry for entry in entries if entry.amount_minor),
        reason_code=act.reason_code,
        **names,
    )
