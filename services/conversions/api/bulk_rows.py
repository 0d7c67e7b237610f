"""The rows of a bulk job as they are sent, JSON or CSV: what is wrong with one refuses that row, not the others."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from services.conversions.domain.bulk import ROWS_MAX, BulkAction, BulkRow
from services.conversions.domain.reason_codes import ReasonCode, parse_reason_code
from services.conversions.usecases.find_target import ORDER_PREFIX
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, parse_money
from shared.kernel.personal_values import Screen
from shared.runtime.problem import Problem, field_invalid
from shared.runtime.strict_route import parse_json
from shared.runtime.wire_model import refused_character

COLUMNS: Final = (
    "ref", "event", "action", "reason_code", "adjustment_id", "new_amount", "refund_amount", "currency"
)  # fmt: skip
"""Of the CSV, in any order; `ref` and `action` must be there. JSON has the amounts with their currency inside."""

_FIELDS: Final = frozenset(COLUMNS) - {"currency"}
_AMOUNTS: Final = ("new_amount", "refund_amount")
_EVENT = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_ID_LENGTH: Final = 36
_TEXT_LENGTH_MAX: Final = 64


def read_json_rows(body: bytes, screen: Screen) -> list[BulkRow]:
    """The rows of `{"rows": […]}`. Raises Problem 422 for what is no such list, or too long."""
    document = parse_json(body)
    if not isinstance(document, dict) or document.keys() != {"rows"} or not isinstance(document["rows"], list):
        raise field_invalid("rows", "rows_expected", "give one object with a list named rows")
    rows = document["rows"]
    _check_count(len(rows))
    return [_read_row(number, fields, screen) for number, fields in enumerate(rows, 1)]


def read_csv_rows(body: bytes, screen: Screen) -> list[BulkRow]:
    """The rows of a CSV with a header. Raises Problem 422 for what is no CSV, has other columns, or is too long."""
    try:
        table = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise field_invalid("body", "csv_malformed", "must be CSV in UTF-8") from None
    header = [cell.strip().lower() for cell in table[0]] if table else []
    if not {"ref", "action"} <= set(header) <= set(COLUMNS) or len(set(header)) != len(header):
        raise field_invalid("body", "csv_columns", f"begins with columns out of {', '.join(COLUMNS)}")
    rows = [row for row in table[1:] if any(cell.strip() for cell in row)]
    _check_count(len(rows))
    return [_read_cells(number, header, row, screen) for number, row in enumerate(rows, 1)]


def _check_count(count: int) -> None:
    if not 1 <= count <= ROWS_MAX:
        raise field_invalid("rows", "rows_count", f"must be 1 to {ROWS_MAX} rows")


def _read_cells(number: int, header: list[str], row: list[str], screen: Screen) -> BulkRow:
    if len(row) != len(header):
        return BulkRow(number=number, fault="row_malformed", field="row")
    fields: dict[str, Any] = {name: cell.strip() for name, cell in zip(header, row, strict=True) if cell.strip()}
    currency = fields.pop("currency", None)
    for name in _AMOUNTS:
        if name in fields:
            fields[name] = {"amount": fields[name], "currency": currency}
    return _read_row(number, fields, screen)


def _read_row(number: int, fields: Any, screen: Screen) -> BulkRow:
    try:
        return _checked(number, fields, screen)
    except InvalidValue as fault:
        return BulkRow(number=number, fault=fault.code, field=fault.field)
    except Problem:  # of a shared reader: the row, not the request, is at fault
        return BulkRow(number=number, fault="row_malformed", field="row")


def _checked(number: int, fields: Any, screen: Screen) -> BulkRow:
    if not isinstance(fields, dict) or not fields.keys() <= _FIELDS:
        raise InvalidValue("row", "row_malformed", f"is an object with fields out of {', '.join(sorted(_FIELDS))}")
    action = _action(fields)
    event = fields.get("event")
    if event is not None and not (isinstance(event, str) and _EVENT.fullmatch(event)):
        raise InvalidValue("event", "event_malformed", "must be 1 to 32 of a-z, 0-9 and _")
    adjustment_id, amounts = _adjustment(fields, action)
    return BulkRow(
        number=number,
        ref=_ref(fields, screen),
        event=event,
        action=action,
        reason=_reason(fields, action),
        adjustment_id=screen.optional(adjustment_id),
        new_amount=amounts["new_amount"],
        refund_amount=amounts["refund_amount"],
    )


def _action(fields: Mapping[str, Any]) -> BulkAction:
    named = fields.get("action")
    if not isinstance(named, str) or named not in tuple(BulkAction):
        raise InvalidValue("action", "action_unknown", f"must be one of {', '.join(BulkAction)}")
    return BulkAction(named)


def _ref(fields: Mapping[str, Any], screen: Screen) -> str:
    """The id in its one spelling, or the order by what stands for it."""
    ref = fields.get("ref")
    if isinstance(ref, str) and ref.startswith(ORDER_PREFIX):
        order_id = _text(ref.removeprefix(ORDER_PREFIX), "ref")
        return f"{ORDER_PREFIX}{screen.text(order_id)}"
    if not isinstance(ref, str) or len(ref) != _ID_LENGTH:
        raise InvalidValue("ref", "ref_malformed", "must be a conversion's id, or order: and an order id")
    try:
        return str(UUID(ref))
    except ValueError:
        raise InvalidValue("ref", "ref_malformed", "must be a conversion's id, or order: and an order id") from None


def _reason(fields: Mapping[str, Any], action: BulkAction) -> ReasonCode | None:
    named = fields.get("reason_code")
    if action is BulkAction.APPROVE:
        if named is not None:
            raise InvalidValue("reason_code", "reason_code_not_taken", "approve takes none")
        return None
    if not isinstance(named, str):
        raise InvalidValue("reason_code", "reason_code_required", "say why")
    return parse_reason_code(named)


def _adjustment(fields: Mapping[str, Any], action: BulkAction) -> tuple[str | None, dict[str, Money | None]]:
    amounts = {name: _money(fields.get(name), name) for name in _AMOUNTS}
    adjustment_id = fields.get("adjustment_id")
    given = [name for name in _AMOUNTS if amounts[name] is not None]
    if action is not BulkAction.ADJUST:
        if adjustment_id is not None or given:
            raise InvalidValue("action", "adjustment_not_taken", "only adjust takes an adjustment_id and an amount")
        return None, amounts
    if len(given) != 1:
        raise InvalidValue("refund_amount", "one_amount_expected", "give new_amount or refund_amount, exactly one")
    return _text(adjustment_id, "adjustment_id"), amounts


def _money(given: Any, field: str) -> Money | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() != {"amount", "currency"}:
        raise InvalidValue(field, "amount_malformed", "must be an amount with its currency")
    amount, currency = given["amount"], given["currency"]
    if not isinstance(amount, str) or not isinstance(currency, str):
        raise InvalidValue(field, "amount_malformed", "must be text: a decimal, and an ISO 4217 code")
    return parse_money(amount, currency, field=field)


def _text(text: Any, field: str) -> str:
    if not isinstance(text, str) or not 1 <= len(text) <= _TEXT_LENGTH_MAX:
        raise InvalidValue(field, "text_length", f"must have 1 to {_TEXT_LENGTH_MAX} characters")
    if refused_character(text) or text != text.strip():
        raise InvalidValue(field, "text_malformed", "must be one line without control characters or blanks at its ends")
    return text
