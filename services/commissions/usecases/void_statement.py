"""Make a final statement void, for a reason, and put another in its place that names it."""

from dataclasses import dataclass
from datetime import datetime

from services.commissions.domain.statement_document import Letterhead
from services.commissions.domain.statement_lifecycle import StatementStep, next_state
from services.commissions.storage.issued_store import IssuedStatement, find_issued, insert_void, lock_numbers
from services.commissions.usecases.issue_statement import StatementKey, issue_statement, party_key
from shared.contracts.commissions import StatementVoidedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent, append


class StatementNotFound(TributaryError):
    """No statement has the number, or it is another party's."""

    code = "statement_not_found"


@dataclass(frozen=True, slots=True)
class Voided:
    """The statement before it was void, and the one that stands for it now."""

    before: IssuedStatement
    replacement: IssuedStatement


async def void_statement(
    session: Session, number: str, *, issuer: Letterhead, reason_code: str, actor: str, now: datetime
) -> Voided:
    """Void `number`. Its amounts stay, the period is closed; what stands around them is read anew for the replacement.

    Both stay readable for ever. actor: `key:<id>`. Raises StatementNotFound, StatementTransitionRefused.
    """
    await lock_numbers(session)
    issued = await find_issued(session, number)
    if issued is None:
        raise StatementNotFound("there is no such statement")
    next_state(issued.state, StatementStep.VOID)
    key = StatementKey(issued.party, issued.period, issued.currency)
    replacement = await issue_statement(session, key, issuer=issuer, now=now, replaces=issued.number)
    await insert_void(session, issued, replaced_by=replacement.number, reason_code=reason_code, actor=actor, now=now)
    word = StatementVoidedV1(
        event_id=new_id(),
        occurred_at=now,
        number=issued.number,
        merchant_id=issued.party.merchant_id,
        affiliate_id=issued.party.affiliate_id,
        replaced_by=replacement.number,
        reason_code=reason_code,
    )
    await append(session, [OutgoingEvent(COMMISSIONS, party_key(issued.party), word.event_id, encode_event(word))])
    return Voided(issued, replacement)
