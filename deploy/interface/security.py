"""How callers prove who they are."""

from typing import Any, Final

from services.gateway.domain.routes import Route

SECURITY_SCHEMES: Final[dict[str, dict[str, Any]]] = {
    "ApiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "trb_{role}_{8 characters}_{32 characters}",
        "description": "An API key. Shown once, when it is issued; stored as SHA-256.",
    },
    "ApiKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in a header of its own. Never both.",
    },
    "PostbackSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Tributary-Signature",
        "description": (
            "`t={unix seconds},v1={hex}`: HMAC-SHA256 of `t.body` with the merchant's signing secret, ±300 s. Two "
            "secrets are valid during a rotation."
        ),
    },
    "PostbackSignedQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "sig",
        "description": "HMAC-SHA256 of the raw query before `&sig=`, which holds `ts`; the last parameter.",
    },
    "PostbackToken": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The merchant's token, in the query or as a field of the body.",
    },
    "PostbackBearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The merchant's token as `Authorization: Bearer`.",
    },
}


def security_of(route: Route) -> list[dict[str, list[str]]]:
    """Any one of these is enough; none for open routes."""
    if not route.is_anonymous:
        return [{"ApiKey": []}, {"ApiKeyHeader": []}]
    if not route.keeps_authorization:
        return []
    names = ["PostbackSignedQuery"] if route.method == "GET" else ["PostbackSignature"]
    return [{name: []} for name in (*names, "PostbackToken", "PostbackBearer")]
