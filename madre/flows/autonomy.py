"""The loop in which madre looks after the fleet by herself: observe, reason, decide, delegate, report.

Off unless somebody started it; how it was left survives a restart, because it is a row. It acts with the rights of
whoever started it and through plans alone, so a confirmation is theirs to give, and everything is on record. A tick
waits for nobody: what it looks at are rows, and what the reconciler knows already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from config import audit
from config.app import House, every
from config.auth import Caller
from config.contracts import autonomy as wire
from config.contracts.autonomy import AutonomyMode, AutonomyStart, AutonomyState, AutonomyStop
from config.contracts.base import Page
from config.contracts.intents import Intent
from config.contracts.plans import Plan
from config.errors import VX11Error
from config.paging import cut, decode_cursor
from madre import autonomy, ticks
from madre.actions import ACTIONS
from madre.adapters.disk import free_mb
from madre.autonomy import Decision, Limits, Past, Picture, PlanSeen, ServiceSeen, Upkeep, WindowSeen
from madre.flows.gauges import Gauges
from madre.flows.reconciler import Reconciler
from madre.store import autonomy as store
from madre.store.autonomy import Running
from madre.store.power import live_windows
from madre.ticks import Tick
from madre.windows import Window

_FEW = 5  # ticks that the answer to a start or stop shows
_log = logging.getLogger(__name__)
FreeMb = Callable[[Path], int]


class Planner(Protocol):
    """Whoever draws plans up, and starts those that need no confirmation."""

    async def planned(self, intent: Intent, text: str, source: str, caller: Caller) -> Plan:
        """The plan that this intent comes to; an error of the tree where it cannot be done."""


class Autonomy:
    """Starting, stopping and watching the loop, and the loop."""

    def __init__(
        self, house: House, reconciler: Reconciler, gauges: Gauges, planner: Planner, room: FreeMb = free_mb
    ) -> None:
        self._house = house
        self._settings = house.settings.madre
        self._reconciler = reconciler
        self._gauges = gauges
        self._planner = planner
        self._room = room
        self._idle: dict[str, datetime] = {}  # by window: since when its services were seen without a request

    def running(self) -> AbstractAsyncContextManager[object]:
        """Tick while the block runs."""
        return every(self._settings.autonomy_interval_sec, self.tick, name="autonomy")()

    async def start(self, body: AutonomyStart, caller: Caller) -> AutonomyState:
        """Start the loop, or have it go on in another mode, from now on with the caller's rights."""
        mode: AutonomyMode = "shadow" if body.shadow else "active"
        await self._house.db.writing(self.put, mode, caller, body.reason, body.acts_per_hour)
        return await self.state(_FEW, None)

    async def stop(self, body: AutonomyStop, caller: Caller) -> AutonomyState:
        """Stop the loop; its plans stay whose they are."""
        await self._house.db.writing(self.put, "off", caller, body.reason)
        return await self.state(_FEW, None)

    def put(
        self, session: Session, mode: AutonomyMode, caller: Caller, reason: str = "", acts_per_hour: int | None = None
    ) -> AutonomyMode:
        """Leave the loop in `mode`, inside a unit of work; the mode it was in."""
        before, now = store.running(session), self._house.clock.now()
        most = self._settings.autonomy_acts_per_hour
        budget = most if acts_per_hour is None else min(most, acts_per_hour)
        store.keep_running(session, Running(mode, caller.user, caller.role, now, reason, budget))
        was: AutonomyMode = before.mode if before else "off"
        detail = {"before": was, "mode": mode, "acts_per_hour": budget, "reason": reason}
        audit.append(session, caller, f"autonomy.{mode}", "madre", detail, now=now, service="madre")
        self._house.journal.append(session, "madre.autonomy.changed", {"mode": mode, "before": was, "by": caller.user})
        return was

    async def state(self, limit: int, cursor: str | None) -> AutonomyState:
        """How the loop was left, its budget, what cools down, and its ticks, newest first."""
        return await self._house.db.reading(self._state, limit, cursor)

    async def tick(self) -> None:
        """One tick, if the loop is on; it leaves a row whatever happens."""
        left = await self._house.db.reading(store.running)
        if left is None or left.mode == "off":
            return
        began, now = self._house.clock.monotonic(), self._house.clock.now()
        decisions: list[Decision] = []
        try:
            async with asyncio.timeout(self._settings.autonomy_interval_sec):
                picture = await self._decide(left, now, decisions)
            kept = ticks.tick(now, left.mode, left.user, picture, decisions, self._since(began))
        except Exception as error:  # border: the next tick comes, and this one is on record
            _log.exception("a tick of autonomy failed")
            kept = ticks.broken(now, left.mode, left.user, decisions, type(error).__name__, self._since(began))
        await self._house.db.writing(self._report, kept)

    async def _decide(self, left: Running, now: datetime, decisions: list[Decision]) -> Picture:
        """What was looked at; what is decided is in `decisions` as soon as it is, whatever happens afterwards."""
        picture = await self._observe(now)
        findings = autonomy.reason(picture, now)
        limits = self._limits(left)
        past = await self._house.db.reading(self._past, left.mode, limits, now)
        for decision in autonomy.decide(findings, past, picture.plans, limits, now):
            decisions.append(_cut_short(decision))
            decisions[-1] = await self._delegated(decision, left)
        return picture

    async def _observe(self, now: datetime) -> Picture:
        plans, crashes, upkeep, live = await self._house.db.reading(self._rows, now)
        figures = await self._gauges.fresh()
        room = await asyncio.to_thread(self._room, self._house.settings.data_path)
        requests = {
            name: traffic.requests if (traffic := figures(name).traffic) else None for name in self._reconciler.known
        }
        services = tuple(
            ServiceSeen(name, life.state, life.since, life.is_hopeless, crashes.get(name, 0))
            for name, life in sorted(self._reconciler.known.items())
        )
        windows = tuple(self._window(window, requests, now) for window in live)
        self._idle = {window.window_id: window.idle_since for window in windows if window.idle_since}
        return Picture(services, windows, plans, upkeep, room, self._reconciler.is_blind)

    def _rows(
        self, session: Session, now: datetime
    ) -> tuple[tuple[PlanSeen, ...], dict[str, int], Upkeep, list[Window]]:
        crashes = store.crashes_since(session, now - autonomy.BUDGET_SPAN)
        return tuple(store.open_plans(session)), dict(crashes), store.upkeep(session, now), live_windows(session)

    def _window(self, window: Window, requests: dict[str, int | None], now: datetime) -> WindowSeen:
        """Idle is a window of whose services every one says that it answered nobody in the last minute."""
        idle = all(requests.get(name) == 0 for name in window.services)
        since = self._idle.get(window.window_id, now) if idle else None
        return WindowSeen(window.window_id, window.services, window.mode, window.opened_by, since)

    def _limits(self, left: Running) -> Limits:
        starter = _starter(left)
        return Limits(
            shadow=left.mode == "shadow",
            acts_per_hour=left.acts_per_hour,
            cooldown=timedelta(seconds=self._settings.autonomy_cooldown_sec),
            barred=frozenset(action.name for action in ACTIONS.values() if not starter.may(action.scope)),
        )

    def _past(self, session: Session, mode: AutonomyMode, limits: Limits, now: datetime) -> list[Past]:
        return store.past_since(session, now - max(autonomy.REMEMBERED, limits.cooldown), mode)

    async def _delegated(self, decision: Decision, left: Running) -> Decision:
        """The decision once its act is a plan; one that cannot be planned says why."""
        finding = decision.finding
        if decision.verdict != "delegated" or finding.action is None:
            return decision
        text = store.marked(finding.rule, finding.subject)
        intent = Intent(
            domain=ACTIONS[finding.action].domain,
            action=finding.action,
            target=finding.subject,
            parameters=dict(finding.arguments),
            confidence=1.0,
            original_text=text,
            risk=ACTIONS[finding.action].risk,
        )
        try:
            plan = await self._planner.planned(intent, text, store.SOURCE, _starter(left))
        except VX11Error as error:
            return replace(decision, verdict="failed", why=error.detail)
        why = "waits for a confirmation" if plan.status == "WAITING" else "runs"
        return replace(decision, plan_id=plan.plan_id, risk=plan.risk, why=f"{finding.action} {why}")

    def _report(self, session: Session, kept: Tick) -> None:
        store.add_tick(session, kept)
        if kept.outcome in ("quiet", "held_back"):
            return
        self._house.journal.append(session, "madre.decision.explained", ticks.told(kept))
        told = {(one["rule"], one["subject"]) for one in kept.decisions if one["verdict"] == "told"}
        for finding in kept.findings:
            if (finding["rule"], finding["subject"]) in told:
                alert = {"rule": finding["rule"], "subject": finding["subject"], "evidence": finding["evidence"]}
                self._house.journal.append(session, "system.alert", alert, severity=finding["severity"])

    def _state(self, session: Session, limit: int, cursor: str | None) -> AutonomyState:
        left, now = store.running(session), self._house.clock.now()
        rows = store.ticks_before(session, decode_cursor(cursor), limit + 1)
        page, following = cut(rows, limit, lambda one: (one.at, str(one.id)))
        limits = self._limits(left) if left else Limits(True, self._settings.autonomy_acts_per_hour, timedelta())
        past = self._past(session, left.mode, limits, now) if left else []
        unused = autonomy.budget_left(past, limits, now)
        most = limits.acts_per_hour
        cooling = sorted(autonomy.cooling(past, limits, now).items())
        return AutonomyState(
            mode=left.mode if left else "off",
            since=left.since if left else None,
            started_by=left.user if left else None,
            reason=left.reason if left else "",
            interval_sec=self._settings.autonomy_interval_sec,
            last_tick_at=store.last_tick_at(session),
            budget=wire.Budget(acts_per_hour=most, used=most - unused, left=unused),
            cooling=[wire.Cooling(rule=rule, subject=subject, until=until) for (rule, subject), until in cooling],
            ticks=Page(items=[ticks.shown(one) for one in page], next_cursor=following),
        )

    def _since(self, began: float) -> float:
        return (self._house.clock.monotonic() - began) * 1000


def _cut_short(decision: Decision) -> Decision:
    """The decision should its act come to no end: that it was tried is known, and others have their turn."""
    return replace(decision, verdict="failed", why="cut short") if decision.verdict == "delegated" else decision


def _starter(left: Running) -> Caller:
    """Whoever started the loop, as it acts for them: with their role, and no token of theirs."""
    return Caller(left.user, left.role, "autonomy", service="madre")
