"""Hormiguero and manifestator, as far as madre's steps ask of them, at the paths of CONTRACT, section 8."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from config.app import House, create_app
from config.auth import Caller, Requires, Scope
from config.contracts.base import Page
from config.contracts.plans import Risk
from config.contracts.watch import Incident, PatchAction, PatchDraft, PatchWish, Scanned
from tests.support.plans import NOW

_Looker = Annotated[Caller, Depends(Requires(Scope.STATUS_READ))]
_Planner = Annotated[Caller, Depends(Requires(Scope.PLANS_WRITE))]


@dataclass
class Seen:
    """What there is to be found, and what was asked, by whom: `patches` by the key that asked for them."""

    drift: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    patches: dict[str, PatchWish] = field(default_factory=dict)


def hormiguero_room(house: House, seen: Seen) -> FastAPI:
    """The incidents that the last scan left."""
    router = APIRouter(prefix="/hormiguero")
    kept: list[str] = []

    @router.post("/scan/once")
    async def scan(caller: _Looker) -> Scanned:
        seen.asked.append(("scan", caller.user))
        kept[:] = seen.incidents
        return Scanned()

    @router.get("/incidents")
    async def incidents(caller: _Looker) -> Page[Incident]:
        return Page(items=[_incident(title, "open") for title in kept] + [_incident("an old one", "resolved")])

    return create_app(house, [router])


def manifestator_room(house: House, seen: Seen) -> FastAPI:
    """The drift that there is, and patches for it."""
    router = APIRouter(prefix="/manifestator")

    @router.get("/drift")
    async def drift(caller: _Looker) -> Page[dict[str, Any]]:
        seen.asked.append(("drift", caller.user))
        return Page(items=seen.drift)

    @router.post("/patchplan")
    async def patch_plan(request: Request, body: PatchWish, caller: _Planner) -> PatchDraft:
        seen.asked.append(("patch", caller.user))
        seen.patches[request.headers["idempotency-key"]] = body
        found = [str(one["path"]) for one in body.drift_evidence]
        return PatchDraft(
            plan_id="patch-1",
            actions=[PatchAction(action="modify", target=path, diff="-a\n+b\n", reason="drift") for path in found],
            risk=Risk.MED,
            estimated_time_sec=1.0,
        )

    return create_app(house, [router])


def _incident(title: str, status: str) -> Incident:
    return Incident.model_validate(
        {
            "incident_id": f"incident-{title}", "kind": "fs", "severity": "warning", "status": status, "title": title,
            "evidence": {}, "first_seen_at": NOW, "last_seen_at": NOW, "count": 1, "correlation_id": None,
            "suggested_actions": [],
        }
    )  # fmt: skip
