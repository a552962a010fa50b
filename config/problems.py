"""Errors on the wire: the tree of `errors.py` to and from RFC 9457 problem+json.

One handler on the root class serves the whole tree, because Starlette looks handlers up along the
exception's MRO. The OpenAI paths (`/v1/…`) carry one more member, `error`, shaped as the OpenAI
clients expect it (RFC 9457, section 3.2, allows extension members).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from config import errors
from config.errors import VX11Error
from config.logs import correlation_id, redacted

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:vx11:problem:"
_OWN_MEMBERS = {"type", "title", "status", "detail", "code", "correlation_id", "errors", "hint", "error"}
_SECONDS = re.compile(r"[0-9]{1,9}")


class _Problem(BaseModel):
    """A problem body as it comes in: what is read of it has these types, or it is not one of ours."""

    model_config = ConfigDict(extra="allow")

    code: str
    detail: str
    hint: str | None = None
    errors: list[dict[str, str]] = []


def problem_body(error: VX11Error, *, openai: bool = False) -> dict[str, Any]:
    """The problem+json members of `error`; `openai` adds the member the OpenAI clients read."""
    body: dict[str, Any] = {
        **error.extra,
        "type": _TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "correlation_id": correlation_id.get(),
    }
    if error.errors:
        body["errors"] = error.errors
    if error.hint:
        body["hint"] = error.hint
    if openai:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
        body["error"] = {"message": error.detail, "type": kind, "code": error.code, "param": None}
    return body


def problem_headers(error: VX11Error) -> dict[str, str]:
    """The headers an error asks for: Retry-After in whole seconds, rounded up, never 0."""
    if error.retry_after_sec is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(error.retry_after_sec)))}


def problem_response(error: VX11Error, *, path: str = "") -> Response:
    """The HTTP answer for `error`, for handlers and for plain ASGI code alike."""
    body = redacted(json.dumps(problem_body(error, openai=path.startswith("/v1/"))))
    return Response(body, error.status, problem_headers(error), media_type=MEDIA_TYPE)


def error_from_answer(status: int, headers: Mapping[str, str], content: bytes) -> VX11Error:
    """Turn a peer's error answer back into the class that was raised there.

    An answer that is not one of our problems becomes BadPeer, with its status but not its body: what
    a stranger wrote is not ours to repeat.
    """
    try:
        problem = _Problem.model_validate_json(content)
    except ValidationError:
        problem = None
    known = errors.error_class(problem.code) if problem else None
    if known is None or problem is None:
        return errors.BadPeer(f"The peer answered with status {status} and no problem VX11 knows.")
    retry_after = headers.get("retry-after", "")
    return known(
        problem.detail,
        hint=problem.hint,
        retry_after_sec=float(retry_after) if _SECONDS.fullmatch(retry_after) else None,
        errors=problem.errors,
        extra={key: value for key, value in (problem.model_extra or {}).items() if key not in _OWN_MEMBERS},
    )


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


async def _on_bug(request: Request, _exc: Exception) -> Response:  # raised again afterwards, for the frame to log
    return problem_response(bug(), path=request.url.path)


def bug() -> VX11Error:
    """What a caller is told of an exception that nobody expected."""
    return errors.Internal("Something broke inside; the log has the rest.")


def install(app: FastAPI) -> None:
    """Give `app` the handlers of the house; nothing else in the tree shapes an error answer."""
    app.add_exception_handler(VX11Error, _on_vx11_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)
