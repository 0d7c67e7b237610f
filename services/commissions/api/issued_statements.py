"""`/v1/statements/{statement_id}`: one numbered statement, for ever, and making it void."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.desk import Finance, Reader, desk_of
from services.commissions.api.ledger_answers import InstantText, PartyReference, StatementAnswer
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.api.statement_files import FORM_ANSWERS, form_asked_for, statement_answer
from services.commissions.domain.statement_lifecycle import StatementTransitionRefused
from services.commissions.storage.issued_store import IssuedStatement, find_file_hash, find_issued
from services.commissions.usecases.read_particulars import read_issued_document
from services.commissions.usecases.statement_forms.forms import FormName
from services.commissions.usecases.statement_forms.plain import instant_text, party_document
from services.commissions.usecases.void_statement import StatementNotFound, Voided, void_statement
from shared.kernel.money import Money
from shared.runtime.audit import Act
from shared.runtime.database import Session
from shared.runtime.http_app import StrictModel, StrictRoute
from shared.runtime.problem import Problem, conflict, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["statements"])
Number = Annotated[str, Path(pattern=r"^[A-Z]{2}-[0-9]{6,9}$", max_length=12)]
ReasonCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class VoidBody(StrictModel):
    """reason_code: why, such as `wrong_tax_rate`."""

    reason_code: ReasonCode


class LetterheadAnswer(BaseModel):
    """A party as it is named on paper."""

    name: str
    address: list[str]
    tax_id: str | None


class StatementTaxAnswer(BaseModel):
    """VAT lines as decimal text in the statement's currency. gross: net and VAT."""

    net: str
    vat: str
    gross: str
    rate_percent: str
    country: str
    reverse_charge: bool
    self_billing_reference: str | None


class StatementDocumentAnswer(BaseModel):
    """What was frozen with the number. replaces: the void statement that this one stands for."""

    number: str
    title: str
    replaces: str | None
    issuer: LetterheadAnswer
    party: LetterheadAnswer
    tax: StatementTaxAnswer | None


class NumberedStatementAnswer(StatementAnswer):
    """A numbered statement: never changed, also once it is void."""

    document: StatementDocumentAnswer


class IssuedStatementAnswer(BaseModel):
    """A numbered statement without its lines."""

    number: str
    status: str
    party: PartyReference
    period: str
    currency: str
    block_number: int
    opening: str
    closing: str
    replaces: str | None
    replaced_by: str | None
    reason_code: str | None
    finalised_at: InstantText


class VoidedAnswer(BaseModel):
    """The void statement, and the one that stands for it."""

    void: IssuedStatementAnswer
    replacement: IssuedStatementAnswer


@router.get(
    "/statements/{statement_id}",
    response_model=None,
    responses={200: {"model": NumberedStatementAnswer, "content": FORM_ANSWERS}},
)
async def get_numbered(
    request: Request, caller: Reader, statement_id: Number, format: FormName | None = None
) -> Response:
    """One numbered statement, the same bytes for ever, also once it is void.

    format: json, csv, xlsx or pdf; left out, `Accept` decides. Header `Tributary-Statement-Status`: final or void;
    `Tributary-Statement-SHA256`: the hash that was recorded of this very file, soon after it got its number.
    """
    desk, form = desk_of(request), form_asked_for(request, format)
    async with desk.reading(caller) as session:
        issued = await find_issued(session, statement_id)
        if issued is None:
            raise not_found("statement_not_found", "There is no such statement.")
        document = await read_issued_document(session, issued)
        recorded = await find_file_hash(session, statement_id, form)
    more = {"Tributary-Statement-Status": issued.state.value}
    if recorded is not None:
        more["Tributary-Statement-SHA256"] = recorded.hex()
    if issued.replaced_by is not None:
        more["Tributary-Statement-Replaced-By"] = issued.replaced_by
    return await statement_answer(desk, caller, document, form, more)


@router.post("/statements/{statement_id}/void", response_model=VoidedAnswer)
async def post_void(request: Request, caller: Finance, statement_id: Number, body: VoidBody) -> Response:
    """Make a statement void. Another takes its place, with letterhead and tax settings as they are now."""
    desk = desk_of(request)

    async def effect(session: Session) -> Done:
        voided = await void_statement(
            session,
            statement_id,
            issuer=desk.issuer,
            reason_code=body.reason_code,
            actor=f"key:{caller.key_id}",
            now=desk.clock.now(),
        )
        return Done(_voided_answer(voided, body.reason_code), _act(voided, body.reason_code))

    try:
        return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"))
    except StatementNotFound:
        raise not_found("statement_not_found", "There is no such statement.") from None
    except StatementTransitionRefused as refused:
        raise _refused(refused) from None


def _refused(refused: StatementTransitionRefused) -> Problem:
    return conflict(refused.code, f"{refused}.")


def _act(voided: Voided, reason_code: str) -> Act:
    before = {"number": voided.before.number, "status": "final"}
    after = {
        **before,
        "status": "void",
        "reason_code": reason_code,
        "replaced_by": voided.replacement.number,
    }
    return Act.of("statement", voided.before.number, dict, before, after)


def _voided_answer(voided: Voided, reason_code: str) -> dict[str, Any]:
    void = _issued_answer(voided.before) | {
        "status": "void",
        "reason_code": reason_code,
        "replaced_by": voided.replacement.number,
    }
    return {"void": void, "replacement": _issued_answer(voided.replacement)}


def _issued_answer(issued: IssuedStatement) -> dict[str, Any]:
    return {
        "number": issued.number,
        "status": issued.state.value,
        "party": party_document(issued.party),
        "period": str(issued.period),
        "currency": issued.currency,
        "block_number": issued.block_number,
        "opening": Money(issued.opening_minor, issued.currency).decimal_text(),
        "closing": Money(issued.closing_minor, issued.currency).decimal_text(),
        "replaces": issued.replaces,
        "replaced_by": issued.replaced_by,
        "reason_code": issued.reason_code,
        "finalised_at": instant_text(issued.finalised_at),
    }
