"""Post finance acts: their inputs, their transactions, one block, and the word of it."""

from collections.abc import Sequence
from datetime import datetime

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.ledger import Block
from services.commissions.storage.act_store import insert_acts
from services.commissions.storage.ledger_store import insert_transactions, seal_posting
from shared.contracts.commissions import FinanceActPostedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.ids import derived_id, new_id
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent, append


async def post_acts(session: Session, acts: Sequence[FinanceAct], *, now: datetime) -> Block | None:
    """Store `acts` and post what follows from them, all in one block; None where nothing follows.

    Takes the block lock, which comes last: lock every row that the acts depend on before. Commit soon after.
    Raises ActImpossible, and what the database raises for an act that is known already.
    """
    posted = [(act, transactions_of(act)) for act in acts]
    await insert_acts(session, [(act, [each.transaction_id for each in found]) for act, found in posted])
    transactions = [transaction for _, found in posted for transaction in found]
    if not transactions:
        return None
    posting_id = new_id()
    await insert_transactions(session, transactions, posting_id=posting_id)
    block = await seal_posting(session, transactions, posting_id=posting_id, now=now)
    ids = [(act, [str(each.transaction_id) for each in found]) for act, found in posted if found]
    await append(session, [_announcement(act, found, block) for act, found in ids])
    return block


def _announcement(act: FinanceAct, transaction_ids: list[str], block: Block) -> OutgoingEvent:
    word = FinanceActPostedV1(
        event_id=derived_id(act.act_id, "posted"),
        occurred_at=act.occurred_at,
        act_id=str(act.act_id),
        kind=act.kind,
        inputs=dict(act.inputs),
        actor=act.actor,
        transaction_ids=transaction_ids,
        booked_at=block.booked_at,
        block_number=block.number,
        reason_code=act.reason_code,
    )
    affiliate_id = act.inputs.get("affiliate_id")
    key = act.act_id if affiliate_id is None else affiliate_id
    return OutgoingEvent(COMMISSIONS, str(key).encode(), word.event_id, encode_event(word))
