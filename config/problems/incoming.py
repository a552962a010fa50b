"""Errors coming in: a peer's problem+json becomes the class that was raised there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from config import errors
from config.errors import VX11Error

_OWN_MEMBERS = {"type", "title", "status", "detail", "code", "correlation_id", "errors", "hint", "error"}
_SECONDS = re.compile(r"[0-9]{1,9}")


class _Problem(BaseModel):
    """A problem body as it comes in: what is read of it has these types, or it is not one of ours."""

    model_config = ConfigDict(extra="allow")

    code: str
    detail: str
    hint: str | None = None
    errors: list[dict[str, str]] = []


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
