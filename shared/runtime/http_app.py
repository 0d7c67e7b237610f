"""The FastAPI application of every service: one shape for errors, strict bodies, health, metrics.

router = APIRouter(prefix="/v1", route_class=StrictRoute)

Admin = Annotated[Principal, Depends(require_role("admin"))]

@router.post("/offers", status_code=201)
async def create_offer(body: OfferBody, caller: Admin) -> OfferAnswer: …

app = create_app(title="gateway", settings=settings, health=health, routers=[router], lifespan=lifespan)
app.state.principal_verifier = PrincipalVerifier(keyring, audience="gateway")
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Scope

from shared.kernel.errors import InvalidValue
from shared.runtime.audit_denials import note_refusal
from shared.runtime.health import Health
from shared.runtime.http_observer import RequestObserver, request_id_of
from shared.runtime.metrics import CONTENT_TYPE, render_metrics
from shared.runtime.problem import (
    Problem,
    bad_request,
    body_too_large,
    internal_error,
    method_not_allowed,
    not_found,
    problem_of_value,
    problem_response,
)
from shared.runtime.settings import ProcessSettings
from shared.runtime.strict_route import (
    BODY_BYTES_MAX,
    StrictRoute,
    problem_of_validation,
    read_body,
    read_query,
    runs_first,
)
from shared.runtime.wire_model import (
    MoneyAnswer,
    MoneyModel,
    PathId,
    PlainText,
    QueryId,
    QueryInstant,
    StrictModel,
    WireId,
)

__all__ = [
    "BODY_BYTES_MAX",
    "MoneyAnswer",
    "MoneyModel",
    "PathId",
    "PlainText",
    "QueryId",
    "QueryInstant",
    "StrictModel",
    "StrictRoute",
    "WireId",
    "create_app",
    "operations_router",
    "read_body",
    "read_query",
    "request_id_of",
    "runs_first",
]

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def create_app(
    *,
    title: str,
    settings: ProcessSettings,
    health: Health,
    routers: Sequence[APIRouter],
    lifespan: Lifespan | None = None,
    asgi_routes: Sequence[BaseRoute] = (),
    hot_doors: Mapping[str, ASGIApp] | None = None,
) -> FastAPI:
    """The application of one process, with /healthz, /readyz and /metrics.

    Every error is a problem+json with the request's id. routers: made with `route_class=StrictRoute` (refused
    otherwise). asgi_routes: `starlette.routing.Route(path, AsgiObject(), methods=[…])` for plain ASGI, matched first.
    hot_doors: ASGI applications by path prefix (`/c/`, or exactly `/postback`) that are asked before FastAPI; they
    judge method and path themselves, may raise Problem, and are not in the access log unless they refuse. The caller
    sets `app.state.principal_verifier` where routes use `require_role`, and `app.state.denials` where denials are
    entered in the audit chain. No process shows a document of its own: the gateway serves the one over all of them.
    """
    app = FastAPI(
        title=title, lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.health = health
    app.router.routes.extend(asgi_routes)
    app.include_router(operations_router(health))
    for router in routers:
        _require_strict_routes(router)
        app.include_router(router)
    app.add_middleware(RequestObserver, hot_doors=hot_doors)
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(InvalidValue, _answer_invalid_value)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    return app


def _require_strict_routes(router: APIRouter) -> None:
    for route in router.routes:
        if isinstance(route, APIRoute) and not isinstance(route, StrictRoute):
            raise TypeError(f"{route.path}: make its router with APIRouter(route_class=StrictRoute)")


class Liveness(BaseModel):
    """The answer of a process that lives."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """ready, or the checks that fail by name."""

    status: Literal["ready", "not_ready"]
    problems: dict[str, str]


def operations_router(health: Health) -> APIRouter:
    """`/healthz`, `/readyz`, `/metrics`: every process has them."""
    router = APIRouter(route_class=StrictRoute, tags=["operations"])

    @router.get("/healthz", response_model=Liveness)
    async def healthz() -> dict[str, str]:
        """Whether the process lives. Restart it when this fails."""
        return {"status": "alive"}

    @router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> dict[str, Any]:
        """Whether the process can serve. 503 with the checks that fail, by name, until it can."""
        report = await health.report()
        response.status_code = 200 if report.ready else 503
        return {"status": "ready" if report.ready else "not_ready", "problems": report.problems}

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Metrics in the text format of Prometheus. Only from the network's own addresses, 404 to the world."""
        return Response(render_metrics(), media_type=CONTENT_TYPE)

    return router


def _respond(request: Request, problem: Problem) -> Response:
    status, headers, body = problem_response(problem, request_id_of(request.scope))
    response = Response(body, status_code=status)
    response.raw_headers = headers
    return response


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    note_refusal(request, error)
    return _respond(request, error)


async def _answer_invalid_value(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidValue)
    return _respond(request, problem_of_value(error))


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _respond(request, problem_of_validation(error.errors()))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """The framework's own refusals, in our words: its texts are not stable and may quote the input."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        problem = not_found("route_not_found", "There is no such route.")
    elif error.status_code == 405:
        problem = method_not_allowed(_allowed_methods(request))
    elif error.status_code == 413:
        problem = body_too_large(BODY_BYTES_MAX)
    elif 400 <= error.status_code < 500:
        problem = bad_request()
    else:
        problem = internal_error()
    return _respond(request, problem)


def _allowed_methods(request: Request) -> list[str]:
    """Every method that some route takes at this path; the framework names those of the first route only."""
    routes = request.app.router.routes
    return [method for method in _METHODS if any(_takes(route, request.scope, method) for route in routes)]


def _takes(route: BaseRoute, scope: Scope, method: str) -> bool:
    probe: Scope = {"type": "http", "method": method, "path": scope["path"], "root_path": "", "headers": []}
    match, _ = route.matches(probe)
    return match == Match.FULL
