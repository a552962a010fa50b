"""SQL of power: policy, windows, what was done to services, how they were last seen."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from config.contracts.power import Policy, WindowMode, WindowState
from config.db_schema.madre import ModuleStatus, PowerEvent, PowerWindow, SystemState
from config.paging import Position
from madre.lives import Life
from madre.windows import Origin, Window

_POLICY_KEY = "power.policy"
_LIVE = ("opening", "open", "closing")


def policy(session: Session) -> Policy | None:
    """The policy in force; None in a new database."""
    row = session.get(SystemState, _POLICY_KEY)
    return cast(Policy, row.value["policy"]) if row else None


def set_policy(session: Session, wanted: Policy, now: datetime) -> None:
    """Put `wanted` in force."""
    session.merge(SystemState(key=_POLICY_KEY, value={"policy": wanted}, updated_at=now))


def live_windows(session: Session) -> list[Window]:
    """Every window that is not over, oldest first."""
    rows = select(PowerWindow).where(PowerWindow.state.in_(_LIVE)).order_by(PowerWindow.created_at)
    return [_window(row) for row in session.scalars(rows)]


def window(session: Session, window_id: str) -> Window | None:
    """The window called `window_id`, live or past."""
    row = session.get(PowerWindow, window_id)
    return _window(row) if row else None


def windows_before(session: Session, position: Position | None, count: int) -> list[Window]:
    """Up to `count` windows older than `position`, newest first."""
    rows = select(PowerWindow).order_by(PowerWindow.created_at.desc(), PowerWindow.window_id.desc()).limit(count)
    if position is not None:
        rows = rows.where(tuple_(PowerWindow.created_at, PowerWindow.window_id) < position)
    return [_window(row) for row in session.scalars(rows)]


def keep_window(session: Session, kept: Window) -> None:
    """Insert `kept`, or bring its row up to date."""
    row = session.get(PowerWindow, kept.window_id)
    if row is None:
        row = PowerWindow(window_id=kept.window_id)
        session.add(row)
    for column in dataclasses.fields(Window):
        value = getattr(kept, column.name)
        setattr(row, column.name, list(value) if column.name == "services" else value)


def add_power_event(
    session: Session,
    *,
    at: datetime,
    service: str,
    act: str,
    reason: str,
    outcome: str,
    elapsed_ms: float,
    **detail: Any,
) -> None:
    """Record one act or fact about one service."""
    session.add(
        PowerEvent(
            at=at,
            service=service,
            act=act,
            reason=reason[:256],
            outcome=outcome,
            elapsed_ms=round(elapsed_ms, 3),
            detail=detail,
        )
    )


def restarts(session: Session) -> dict[str, int]:
    """How often each service was started again after a failure, as last recorded."""
    return {row.service: row.restarts for row in session.scalars(select(ModuleStatus))}


def keep_life(session: Session, service: str, life: Life, memory_mb: float | None, now: datetime) -> None:
    """Record how `service` was last seen."""
    session.merge(
        ModuleStatus(
            service=service,
            state=life.state,
            since=life.since,
            restarts=life.restarts,
            memory_mb=memory_mb,
            updated_at=now,
        )
    )


def _window(row: PowerWindow) -> Window:
    return Window(
        window_id=row.window_id,
        services=tuple(row.services),
        mode=cast(WindowMode, row.mode),
        state=cast(WindowState, row.state),
        opened_by=row.opened_by,
        reason=row.reason,
        origin=cast(Origin, row.origin),
        ttl_sec=row.ttl_sec,
        created_at=row.created_at,
        opened_at=row.opened_at,
        deadline=row.deadline,
        max_deadline=row.max_deadline,
        closed_at=row.closed_at,
        close_reason=row.close_reason,
    )
