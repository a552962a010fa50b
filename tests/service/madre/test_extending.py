"""A window extended by an action: so much later than it ends, or so long from now; twice is once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.auth import Caller, Role
from madre.actions import ACTIONS
from madre.actions.power import ExtendWindow
from madre.flows.executors.order import Order
from madre.flows.executors.power import PowerActs
from madre.flows.reconciler import Reconciler
from tests.support.clock import ManualClock
from tests.support.power import Madre, madre_in


def order(told: ExtendWindow, noted: dict[str, object] | None = None) -> Order:
    return Order(
        plan_id="plan-1",
        number=1,
        action=ACTIONS["power.extend_window"],
        arguments=told,
        caller=Caller("admin", Role.ADMIN, "plan"),  # whose windows they are
        key="plan-1/1",
        attempt=1,
        session_id=None,
        noted=noted or {},
    )


def longer(**told: float) -> ExtendWindow:
    return ExtendWindow.model_validate(told)


def acts_of(madre: Madre) -> PowerActs:
    return PowerActs(madre.house, madre.app.state.flows, Reconciler(madre.house, madre.driver))


async def ends_in(madre: Madre) -> float:
    return float((await madre.get("state"))["ttl_remaining_sec"])


async def test_by_adds_to_the_deadline_and_never_shortens(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await madre.open("switch", ttl_sec=3000)
        result = await acts_of(madre).extend(order(longer(by_sec=1200)))
        assert await ends_in(madre) == 4200, "beyond the hour that one order may name"
        assert datetime.fromisoformat(str(result["deadline"])) - madre.clock.now() == timedelta(seconds=4200)


async def test_until_sets_it(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await madre.open("switch", ttl_sec=3000)
        await acts_of(madre).extend(order(longer(ttl_sec=600)))
        assert await ends_in(madre) == 600


async def test_after_a_death_it_is_not_extended_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        await madre.open("switch", ttl_sec=300)
        first = order(longer(by_sec=600))
        await acts_of(madre).extend(first)
        clock.advance(10)
        await acts_of(madre).extend(order(longer(by_sec=600), dict(first.noted)))
        assert await ends_in(madre) == 890


async def test_the_cap_of_a_window_holds(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"window_max_sec": 500}) as madre:
        await madre.open("switch", ttl_sec=300)
        await acts_of(madre).extend(order(longer(by_sec=3000)))
        assert await ends_in(madre) == 500


@pytest.mark.parametrize("told", [{}, {"ttl_sec": 60, "by_sec": 60}])
def test_one_of_the_two_is_said(told: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="one of them"):
        ExtendWindow.model_validate(told)
