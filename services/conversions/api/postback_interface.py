"""What `/postback` and `POST /v1/conversions` take and give, for the OpenAPI document: both read bodies themselves."""

from typing import Any, Final

from services.conversions.domain.facts import ITEMS_MAX
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.postback import ITEMS_CHARACTERS_MAX, SUBS
from services.conversions.domain.transitions import Status
from shared.kernel.ids import ID_MAX

BATCH_MAX: Final = 100

_UUID: Final = {"type": "string", "format": "uuid"}
_AMOUNT: Final = {"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,4})?$"}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "click_id": {"type": "string", "maxLength": 256, "description": "From the landing page's address; 56 characters"},
    "order_id": {"type": "string", "maxLength": 64, "description": "The merchant's own; this or a click_id is needed"},
    "event": {"type": "string", "pattern": "^[a-z0-9_]{1,32}$", "description": "`sale` where none is given"},
    "amount": {**_AMOUNT, "description": "Of the order; with adjustment_id: the part taken back"},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217; needed with an amount"},
    "adjustment_id": {"type": "string", "maxLength": 64, "description": "Makes it a refund of order_id, counted once"},
    "occurred_at": {"$ref": "#/components/schemas/ZonedInstant", "description": "The merchant's own time of the order"},
    "coupon": {"type": "string", "maxLength": 64, "description": "The coupon that was used"},
    "customer_id": {
        "type": "string",
        "maxLength": 128,
        "description": "The merchant's own reference, no personal data",
    },
    "customer_status": {
        "type": "string",
        "maxLength": 32,
        "description": "`new` or `returning`, which terms may price by; anything else is only kept",
    },
    "country": {"type": "string", "pattern": "^[A-Za-z]{2}$", "description": "Of the order, ISO 3166 alpha-2"},
    "tax": {**_AMOUNT, "description": "Part of the amount, in its currency, at most the amount"},
    "shipping": {**_AMOUNT, "description": "Part of the amount, in its currency, at most the amount"},
    "discount": {**_AMOUNT, "description": "Part of the amount, in its currency, at most the amount"},
    "test": {"type": "string", "enum": ["0", "1"], "description": "1: judged and answered, recorded in a receipt only"},
    **{name: {"type": "string", "maxLength": 255, "description": "Kept beside the conversion"} for name in SUBS},
}
_ITEMS: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": ITEMS_MAX,
    "description": (
        f"Lines of the order, flat objects; {ITEMS_CHARACTERS_MAX} characters in all. Terms price by them where all "
        "of them are well-formed and together worth at most the order; otherwise they are only kept"
    ),
    "items": {
        "type": "object",
        "properties": {
            "sku": {"type": ["string", "number", "null"], "description": "At most 64 characters"},
            "category": {"type": ["string", "number", "null"], "description": "At most 64 characters"},
            "quantity": {"type": ["string", "number", "null"], "description": "From 1, which is the default"},
            "amount": {"type": ["string", "number", "null"], "description": "Of the whole line, a plain decimal"},
        },
        "additionalProperties": {"type": ["string", "number", "null"]},
    },
}
_PROOF: Final[dict[str, dict[str, Any]]] = {
    "merchant_id": {"type": "integer", "minimum": 1, "maximum": ID_MAX, "description": "Who reports"},
    "ts": {
        "type": "string",
        "pattern": "^[0-9]{1,12}$",
        "description": "Unix seconds of signing, ±300 s; signed query",
    },
    "token": {"type": "string", "maxLength": 256, "description": "The merchant's token, where nothing is signed"},
    "sig": {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "HMAC-SHA256 of the query before `&sig=`, in hexadecimal; always the last parameter",
    },
}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in schema.items() if key != "description"}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": schema["description"],
        "schema": shown,
    }


_OUTCOME: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "name"],
    "properties": {
        "code": {"type": "integer", "enum": [int(outcome) for outcome in Outcome]},
        "name": {"type": "string", "enum": [outcome.label for outcome in Outcome]},
    },
}
_ANSWER_FIELDS: Final[dict[str, Any]] = {
    "receipt_id": {**_UUID, "description": "Under which `/v1/receipts` keeps this answer"},
    "outcome": {**_OUTCOME, "description": "The numbered outcome"},
    "conversion_id": {"anyOf": [_UUID, {"type": "null"}]},
    "duplicate": {"type": "boolean", "description": "true: reported before; this is the first answer again"},
}
_STATUS: Final[dict[str, Any]] = {"anyOf": [{"type": "string", "enum": [s.value for s in Status]}, {"type": "null"}]}

POSTBACK_COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "Postback": {
        "type": "object",
        "description": "An order, a lead, an install, or with adjustment_id a refund. Unknown fields are ignored.",
        "properties": {
            "merchant_id": {**_PROOF["merchant_id"], "description": "The key's own merchant; may be left out"},
            **_FIELDS,
            "items": _ITEMS,
        },
    },
    "SignedPostback": {
        "type": "object",
        "description": "A postback in a body. merchant_id and token: where nothing is signed.",
        "properties": {
            "merchant_id": _PROOF["merchant_id"],
            "token": _PROOF["token"],
            **_FIELDS,
            "items": _ITEMS,
        },
    },
    "PostbackBatch": {
        "type": "object",
        "description": "Many postbacks in one request, answered one by one.",
        "required": ["conversions"],
        "properties": {
            "conversions": {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_MAX,
                "items": {"$ref": "#/components/schemas/Postback"},
            }
        },
    },
    "PostbackAnswer": {
        "type": "object",
        "description": "Taken and recorded; the verdict is in `status` and `outcome`.",
        "required": ["receipt_id", "outcome", "conversion_id", "status", "duplicate"],
        "properties": {
            **_ANSWER_FIELDS,
            "status": {**_STATUS, "description": "Of the conversion"},
        },
    },
    "PostbackProblem": {
        "description": "A refusal that left a receipt. It claims no order: the mended postback may follow.",
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": _ANSWER_FIELDS,
    },
    "PostbackBatchAnswer": {
        "type": "object",
        "description": "A result for each, in order.",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["index", "http_status", "receipt_id", "outcome", "status"],
                    "properties": {
                        "index": {"type": "integer", "description": "Its place in the request, from 0"},
                        "http_status": {"type": "integer", "description": "What it would have been answered alone"},
                        **_ANSWER_FIELDS,
                        "status": {"type": ["string", "integer", "null"], "description": "As in the answer alone"},
                    },
                },
            }
        },
    },
}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


_TAKEN: Final[dict[str, Any]] = {
    "201": {"description": "Recorded", "content": _json("PostbackAnswer")},
    "200": {"description": "A duplicate with its first answer, or a test", "content": _json("PostbackAnswer")},
}
_BODY: Final = {"schema": {"$ref": "#/components/schemas/SignedPostback"}}

POSTBACK_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/postback": {
        "get": {
            "tags": ["postbacks"],
            "description": (
                "Report an order by query. 2xx means taken and recorded, with the verdict in `status` and `outcome`; "
                "4xx means not taken. The same report again gets its first answer, marked `duplicate`. Proven by `ts` "
                "and `sig`, by `token`, or by `Authorization: Bearer` with the token."
            ),
            "parameters": [_parameter(name, schema) for name, schema in {**_PROOF, **_FIELDS}.items()],
            "responses": _TAKEN,
        },
        "post": {
            "tags": ["postbacks"],
            "description": (
                "Report an order by form or JSON. Like the query, with the fields in the body. Signed by "
                "`Tributary-Signature: t={unix seconds},v1={hex}` over `t.body` with `merchant_id` in the query, or "
                "with a token."
            ),
            "parameters": [
                _parameter("merchant_id", _PROOF["merchant_id"]),
                _parameter("token", _PROOF["token"]),
                {
                    "name": "Tributary-Signature",
                    "in": "header",
                    "required": False,
                    "description": "`t={unix seconds},v1={HMAC-SHA256 of t.body, hexadecimal}`",
                    "schema": {"type": "string"},
                },
            ],
            "requestBody": {
                "required": False,
                "content": {"application/json": _BODY, "application/x-www-form-urlencoded": _BODY},
            },
            "responses": _TAKEN,
        },
    }
}
REPORT_INTERFACE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Postback"},
                        {"$ref": "#/components/schemas/PostbackBatch"},
                    ]
                }
            }
        },
    },
    "responses": {
        "201": {"description": "Recorded", "content": _json("PostbackAnswer")},
        "200": {
            "description": "A duplicate with its first answer, a test, or the results of a batch",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/PostbackAnswer"},
                            {"$ref": "#/components/schemas/PostbackBatchAnswer"},
                        ]
                    }
                }
            },
        },
    },
}
"""`openapi_extra` of `POST /v1/conversions`."""
