"""What `api/redirect.py` takes and gives, for the OpenAPI document: plain ASGI says nothing of itself."""

from typing import Any, Final

from services.clicks.domain.landing import SUB_NAMES
from services.clicks.domain.link_query import AD_CLICK_ID_NAMES, URL_CHARACTERS_MAX, VALUE_CHARACTERS_MAX
from shared.kernel.ids import ID_MAX

_ID: Final = {"type": "integer", "minimum": 1, "maximum": ID_MAX}
_TEXT: Final = {"type": "string", "maxLength": VALUE_CHARACTERS_MAX}
_FLAG: Final = {"type": "string", "enum": ["0", "1"]}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_PARAMETERS: Final[list[dict[str, Any]]] = [
    {"name": "offer_id", "in": "path", "required": True, "description": "The offer", "schema": _ID},
    {"name": "affiliate_id", "in": "path", "required": True, "description": "Whose link it is", "schema": _ID},
    *[_query(name, _TEXT, "The affiliate's own mark; comes back on clicks and conversions") for name in SUB_NAMES],
    _query("aff_click_id", _TEXT, "The affiliate's own click ID"),
    _query("source", _TEXT, "Where the link stands"),
    _query("creative", _TEXT, "Which banner or text carried it"),
    _query(
        "url",
        {"type": "string", "maxLength": URL_CHARACTERS_MAX},
        "Deep link: a page on one of the offer's allowed hosts; elsewhere it is ignored",
    ),
    _query("format", {"type": "string"}, "`json`: answer 200 with the click ID instead of a redirect"),
    _query("consent", _FLAG, "The shopper's: 1 allows the visitor cookie, 0 keeps no address and no user agent"),
    _query("test", _FLAG, "1: a click that never counts"),
    *[_query(name, _TEXT, "Travels on to the landing page") for name in sorted(AD_CLICK_ID_NAMES)],
]
_LANDING: Final[dict[str, Any]] = {
    "description": "To the landing page, with the click ID in its address",
    "headers": {
        "Location": {
            "description": "The landing page, the deep link, or the offer's fallback",
            "schema": {"type": "string", "format": "uri"},
        },
        "Referrer-Policy": {"description": "As the offer's version says", "schema": {"type": "string"}},
    },
}
_CLICK: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A click made from a server.",
    "required": ["click_id", "landing_url"],
    "properties": {
        "click_id": {"type": "string", "pattern": "^[0-9a-v]{56}$", "description": "Signed; proves itself"},
        "landing_url": {"type": "string", "format": "uri"},
    },
}

REDIRECT_COMPONENTS: Final[dict[str, dict[str, Any]]] = {"ServerClick": _CLICK}
REDIRECT_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/c/{offer_id}/{affiliate_id}": {
        "get": {
            "tags": ["links"],
            "description": (
                "Follow a referral link. The redirect leaves only when its click is stored durably. What cannot count "
                "(a robot, an affiliate that is not enrolled, a paused offer) is flagged in the click ID and goes on; "
                "only a link that names no offer is 404. A speculative request (`Sec-Purpose: prefetch`) gets 503 "
                "without a click ID: the shopper's real click asks again."
            ),
            "parameters": _PARAMETERS,
            "responses": {
                "302": _LANDING,
                "200": {
                    "description": "The click of `format=json`",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ServerClick"}}},
                },
            },
        },
        "head": {
            "tags": ["links"],
            "description": "Preview where a referral link leads. Makes no click, and the address carries no click ID.",
            "parameters": _PARAMETERS,
            "responses": {"302": {**_LANDING, "description": "Where it leads"}},
        },
    }
}
