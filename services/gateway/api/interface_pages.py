"""`/docs`, `/openapi.json` and their sisters: files made by `make interface`, served offline and without scripts."""

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from shared.runtime.http_app import StrictRoute

FILES: Final = Path(__file__).parent / "interface_files"
MAX_AGE_SECONDS: Final = 300
_STYLE: Final = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
_NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "Still what `If-None-Match` names"}}
_CLOSED: Final = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _gives(content_type: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    etag = {"ETag": {"description": "Of these bytes", "schema": {"type": "string"}}}
    return {200: {"description": "The file", "headers": etag, "content": {content_type: schema}}, **_NOT_MODIFIED}


_JSON: Final = _gives("application/json", {"schema": {"type": "object"}})
_PAGE: Final = _gives("text/html", {"schema": {"type": "string"}})

interface_router = APIRouter(route_class=StrictRoute, tags=["front page"])


@dataclass(frozen=True, slots=True)
class ServedFile:
    """One file, read once. policy: of a page, which may load nothing and run nothing; its style is named by hash."""

    content: bytes
    packed: bytes
    etag: str
    content_type: str
    policy: str | None

    @classmethod
    @cache
    def of(cls, name: str) -> "ServedFile":
        """The file of that name in `interface_files`. Raises OSError."""
        content = (FILES / name).read_bytes()
        is_page = name.endswith(".html")
        return cls(
            content=content,
            packed=gzip.compress(content, mtime=0),
            etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            content_type="text/html; charset=utf-8" if is_page else "application/json",
            policy=_policy(content) if is_page else None,
        )


@interface_router.get("/openapi.json", response_class=Response, responses=_JSON)
async def get_openapi(request: Request) -> Response:
    """This interface as an OpenAPI 3.1 document."""
    return _serve(request, "openapi.json")


@interface_router.get("/asyncapi.json", response_class=Response, responses=_JSON)
async def get_asyncapi(request: Request) -> Response:
    """Every topic and event as an AsyncAPI 3.0 document."""
    return _serve(request, "asyncapi.json")


@interface_router.get("/docs", response_class=Response, responses=_PAGE)
async def get_docs(request: Request) -> Response:
    """This interface as a page for people. One file: no scripts, nothing loaded from elsewhere."""
    return _serve(request, "docs.html")


@interface_router.get("/docs/events", response_class=Response, responses=_PAGE)
async def get_events_page(request: Request) -> Response:
    """Every topic and event as a page for people."""
    return _serve(request, "events.html")


def _serve(request: Request, name: str) -> Response:
    file = ServedFile.of(name)
    headers = {
        "ETag": file.etag,
        "Cache-Control": f"public, max-age={MAX_AGE_SECONDS}",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if file.policy is not None:
        headers |= {"Content-Security-Policy": file.policy, "Referrer-Policy": "no-referrer"}
    if file.etag in _candidates(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(file.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.content_type)
    return Response(file.content, headers=headers, media_type=file.content_type)


def _candidates(if_none_match: str) -> set[str]:
    return {candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")}


def _takes_gzip(accept_encoding: str) -> bool:
    for coding in accept_encoding.split(","):
        name, _, quality = coding.partition(";")
        if name.strip().lower() == "gzip":
            return re.fullmatch(r"q=0(\.0*)?", quality.strip()) is None
    return False


def _policy(page: bytes) -> str:
    styles = [base64.b64encode(hashlib.sha256(style).digest()).decode() for style in _STYLE.findall(page)]
    allowed = " ".join(f"'sha256-{digest}'" for digest in styles) or "'none'"
    return f"{_CLOSED}; style-src {allowed}"
