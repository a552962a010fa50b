"""How a service says how it is."""

from __future__ import annotations

from typing import Any, Literal

from config.contracts.base import Answer


class Health(Answer):
    """`GET /health`: answered from the process itself, without calling anybody."""

    status: Literal["ok", "degraded"]
    module: str
    version: str
    uptime_sec: float
    checks: dict[str, Any]


class Readiness(Answer):
    """`GET /ready`: whether the service can do its job now."""

    ready: bool
    module: str
