"""What `POST /v1/conversions/bulk` takes, for the OpenAPI document: it reads its body itself."""

from typing import Any, Final

from services.conversions.domain.bulk import ROWS_MAX, BulkAction
from services.conversions.domain.reason_codes import PEOPLES_REASONS

_MONEY: Final = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {
        "amount": {"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,8})?$"},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    },
    "additionalProperties": False,
}
_ROW: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["ref", "action"],
    "additionalProperties": False,
    "properties": {
        "ref": {"type": "string", "maxLength": 70, "description": "A conversion's id, or `order:` and an order id"},
        "event": {
            "type": "string",
            "pattern": "^[a-z0-9_]{1,32}$",
            "description": "Tells the conversions of one order apart",
        },
        "action": {"type": "string", "enum": list(BulkAction)},
        "reason_code": {
            "type": "string",
            "enum": list(PEOPLES_REASONS),
            "description": "Why; for all but approve",
        },
        "adjustment_id": {"type": "string", "maxLength": 64, "description": "For adjust: each of an order counts once"},
        "new_amount": {**_MONEY, "description": "For adjust: what the order is worth now"},
        "refund_amount": {**_MONEY, "description": "For adjust: what is taken back"},
    },
}
_TABLE: Final = (
    "ref,action,reason_code,adjustment_id,refund_amount,currency\r\n"
    "order:A-1001,approve,,,,\r\n"
    "order:A-1002,adjust,customer_return,R-1,20.00,EUR\r\n"
)
BULK_INTERFACE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["rows"],
                    "additionalProperties": False,
                    "properties": {"rows": {"type": "array", "minItems": 1, "maxItems": ROWS_MAX, "items": _ROW}},
                }
            },
            "text/csv": {"schema": {"type": "string"}, "example": _TABLE},
        },
    },
}
"""`openapi_extra` of the route."""
