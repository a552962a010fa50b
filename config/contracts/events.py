"""An event as every subscriber sees it."""

from __future__ import annotations

from typing import Any, Literal

from config.contracts.base import Answer, Timestamp

Severity = Literal["info", "warning", "error", "critical"]


class Event(Answer):
    """One stored event; `id` grows without reuse and is what SSE resumes from."""

    id: int
    type: str
    source: str
    severity: Severity
    correlation_id: str
    timestamp: Timestamp
    data: dict[str, Any]


class Ticket(Answer):
    """A single-use pass to the event stream for browsers, which cannot set headers there."""

    ticket: str
    expires_in_sec: int
