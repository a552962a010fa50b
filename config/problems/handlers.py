"""The error handlers of every FastAPI app of the house.

One handler on the root class serves the whole tree, because Starlette looks handlers up along the exception's MRO.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from config import errors
from config.errors import VX11Error
from config.problems.outgoing import bug, problem_response
from config.streaming import GONE, ClientGone


def install(app: FastAPI) -> None:
    """Give `app` the handlers of the house; nothing else in the tree shapes an error answer."""
    app.add_exception_handler(VX11Error, _on_vx11_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientGone, _on_nobody)
    app.add_exception_handler(Exception, _on_bug)


async def _on_vx11_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, VX11Error)
    return problem_response(exc, path=request.url.path)


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    return problem_response(_invalid(exc), path=request.url.path)


def _invalid(exc: RequestValidationError) -> VX11Error:
    found = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "message": item["msg"]}
        for item in exc.errors()
    ]
    if any(item["type"] == "json_invalid" for item in exc.errors()):
        return errors.BadRequest("The body is not valid JSON.", errors=found)
    fields = ", ".join(item["field"] for item in found)
    return errors.Invalid(f"Not as the contract says: {fields}.", errors=found)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    path = request.url.path
    if isinstance(exc.__cause__, VX11Error):  # FastAPI wraps what is raised while it reads a body
        return problem_response(exc.__cause__, path=path)
    known: dict[int, VX11Error] = {
        404: errors.NotFound(f"There is no path {path} here.", hint="GET /openapi.json lists the paths."),
        405: errors.MethodNotAllowed(f"{request.method} is not offered at {path}."),
    }
    error = known.get(exc.status_code) or errors.BadRequest(str(exc.detail))
    return problem_response(error, path=path)


async def _on_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=GONE)  # for the counters: nobody reads it


async def _on_bug(request: Request, _exc: Exception) -> Response:  # raised again afterwards, for the frame to log
    return problem_response(bug(), path=request.url.path)
