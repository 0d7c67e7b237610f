"""The catalogue's refusals as HTTP."""

from fastapi import FastAPI, Request, Response

from services.gateway.domain.refusals import CatalogueConflict, NotInCatalogue
from shared.runtime.audit_denials import note_refusal
from shared.runtime.http_app import request_id_of
from shared.runtime.problem import Problem, conflict, not_found, problem_response


def install_refusals(app: FastAPI) -> None:
    """Answer NotInCatalogue with 404 and CatalogueConflict with 409."""
    app.add_exception_handler(NotInCatalogue, _answer_not_found)
    app.add_exception_handler(CatalogueConflict, _answer_conflict)


def _respond(request: Request, problem: Problem) -> Response:
    note_refusal(request, problem)
    status, headers, body = problem_response(problem, request_id_of(request.scope))
    response = Response(body, status_code=status)
    response.raw_headers = headers
    return response


async def _answer_not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotInCatalogue)
    return _respond(request, not_found(error.code, f"There is no such {error.thing.replace('_', ' ')} here."))


async def _answer_conflict(request: Request, error: Exception) -> Response:
    assert isinstance(error, CatalogueConflict)
    return _respond(request, conflict(error.code, error.message[:1].upper() + error.message[1:] + "."))
