"""What hormiguero finds and manifestator draws up, as far as madre's steps ask (CONTRACT, section 8)."""

from __future__ import annotations

from typing import Any, Literal

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.plans import Risk


class Scanned(Answer):
    """`POST /hormiguero/scan/once`, once the scan is over: what it found is in the incidents."""


class Incident(Answer):
    """One fault that hormiguero keeps."""

    incident_id: str
    kind: str
    severity: Literal["info", "warning", "error", "critical"]
    status: Literal["open", "acknowledged", "resolved"]
    title: str
    evidence: Any
    first_seen_at: Timestamp
    last_seen_at: Timestamp
    count: int
    correlation_id: str | None
    suggested_actions: list[Any]


class PatchWish(Request):
    """`POST /manifestator/patchplan`: the drift as `GET /manifestator/drift` listed it, and what of it is meant."""

    drift_evidence: list[dict[str, Any]]
    scope: str = ""


class PatchAction(Answer):
    """One change that a patch would make; nothing of it is done."""

    action: Literal["add", "remove", "modify", "verify"]
    target: str
    diff: str | None
    reason: str


class PatchDraft(Answer):
    """A patch as manifestator drew it up: a plan of its own, which somebody reads."""

    plan_id: str
    actions: list[PatchAction]
    risk: Risk
    estimated_time_sec: float
    notes: Any = None
