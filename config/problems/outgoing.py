"""Errors going out: RFC 9457 problem+json. Imports no framework: a model's worker needs this and nothing more.

The OpenAI paths (`/v1/…`) carry one more member, `error`, shaped as the OpenAI clients expect it (RFC 9457,
section 3.2, allows extension members).
"""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from config.errors import Internal, VX11Error
from config.logs import correlation_id, redacted

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:vx11:problem:"


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


def problem_event(error: VX11Error) -> bytes:
    """The event that ends a stream of server-sent events which cannot go on.

    It begins with an empty line, because the piece before it may have broken off in the middle of an event.
    """
    return b"\n\ndata: " + json.dumps(problem_body(error, openai=True)).encode() + b"\n\n"


def bug() -> VX11Error:
    """What a caller is told of an exception that nobody expected."""
    return Internal("Something broke inside; the log has the rest.")
