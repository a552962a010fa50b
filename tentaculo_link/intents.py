"""Intents as the door passes them on, and daughters as it shows them in the form of an intent's result. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.contracts.asking import DoorIntent, IntentAnswer, IntentOrder, IntentStatus
from config.contracts.plans import Fault
from config.contracts.spawning import JobDetail, JobStatus

_STATUS: Mapping[JobStatus, IntentStatus] = {
    "PENDING": "QUEUED",
    "RUNNING": "RUNNING",
    "DONE": "DONE",
    "ERROR": "ERROR",
    "KILLED": "ERROR",
    "EXPIRED": "ERROR",
}


def passed_on(wish: DoorIntent, service: str) -> IntentOrder:
    """The order that madre gets; what has a field of its own at the door goes before the same name in `payload`."""
    own: dict[str, Any] = {"text": wish.text, "require": wish.require, "metadata": wish.metadata}
    own = {name: value for name, value in own.items() if value}
    conversation = {
        name: wish.metadata[name] for name in ("session_id",) if name in wish.metadata and name not in wish.payload
    }
    return IntentOrder(
        type=wish.intent_type,
        payload={**wish.payload, **conversation, **own, "priority": wish.priority},
        correlation_id=wish.correlation_id,
        source=service,
    )


def daughter_shown(job: JobDetail) -> IntentAnswer:
    """A daughter's real state; its output is the response, everything else is in the result."""
    status = _STATUS[job.status]
    fault = Fault(code=job.status.lower(), detail=job.error or f"It ended {job.status}.") if status == "ERROR" else None
    return IntentAnswer(
        correlation_id=job.correlation_id,
        status=status,
        mode="SPAWNER",
        provider=job.isolation,
        response=job.output_tail or None,
        error=fault,
        timestamp=job.finished_at or job.started_at or job.created_at,
        result=job.model_dump(mode="json"),
    )
