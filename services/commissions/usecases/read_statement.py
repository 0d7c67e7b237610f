"""Read a statement: a pure function of (party, period, block), whenever it is read."""

from dataclasses import dataclass

from services.commissions.domain.statement import Party, Statement, sections_of
from services.commissions.storage.statement_store import (
    ListedStatement,
    StatementPosition,
    find_currencies,
    find_cut,
    list_statement_rows,
    sum_movements,
)
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import is_currency
from shared.kernel.period import Period
from shared.runtime.database import Session


class BlockNotFound(TributaryError):
    """A cut was asked for at a block that does not exist."""

    code = "block_not_found"


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """Whose, when, in which currency (None: the party's only one), and at which block (None: the newest)."""

    party: Party
    period: Period
    currency: str | None
    block_number: int | None


async def read_statement(session: Session, request: StatementRequest) -> Statement:
    """Everything of the statement but its lines, which `storage.statement_store.stream_lines` gives for the same cut.

    A party without entries has a statement of zeros. Raises InvalidValue(field="currency"), BlockNotFound.
    """
    currency = request.currency
    if currency is None:
        currencies = await find_currencies(session, request.party)
        if len(currencies) != 1:
            raise InvalidValue("currency", "currency_needed", "name one: this party has none, or several")
        currency = currencies[0]
    elif not is_currency(currency):
        raise InvalidValue("currency", "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    cut = await find_cut(session, request.period, block_number=request.block_number)
    if cut is None:
        raise BlockNotFound("there is no such block yet")
    movements = await sum_movements(session, request.party, currency=currency, cut=cut)
    return Statement(request.party, request.period, currency, cut, sections_of(request.party, movements))


async def list_statements(
    session: Session, party: Party | None, *, currency: str | None, before: StatementPosition | None, limit: int
) -> list[ListedStatement]:
    """At most `limit` + 1 statements with bookings, newest period first."""
    return await list_statement_rows(session, party, currency=currency, before=before, limit=limit + 1)
