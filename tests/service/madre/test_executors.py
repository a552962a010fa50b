"""Every registered action has somebody who does it, or says that its room is absent."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from config.services import FLEET, is_present
from madre.actions import ACTIONS
from madre.flows.executors.order import Executors
from madre.flows.executors.own import Autonomous, Canceller, absent
from madre.flows.executors.table import executors
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from tests.support.clock import ManualClock
from tests.support.house import house_in
from tests.support.power import ScriptedDriver


@pytest.fixture
def table(tmp_path: Path) -> Executors:
    clock = ManualClock()
    house = house_in(tmp_path, "madre", clock=clock)
    reconciler = Reconciler(house, ScriptedDriver(clock))
    nobody = cast("Canceller", None), cast("Autonomous", None)
    return executors(house, Power(house, reconciler), reconciler, *nobody)


def test_there_is_one_for_every_action_and_none_for_anything_else(table: Executors) -> None:
    assert set(table) == set(ACTIONS)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_it_is_done_by_its_owner_if_that_is_here(table: Executors, name: str) -> None:
    owner, executor = FLEET[ACTIONS[name].owner], table[name]
    assert (executor.act is absent) is not is_present(owner)
    assert (executor.act is None) is not (executor.within is None), "either on the loop or in a transaction"
    if executor.act is not absent and owner.sleeps and executor.within is None:
        assert executor.needs == (owner.name,), "what does it must be awake"


def test_what_leaves_something_behind_can_take_it_back(table: Executors) -> None:
    assert sorted(name for name, executor in table.items() if executor.stop is not None) == [
        "models.disable",
        "models.enable",
        "models.load",
        "models.pull",
        "power.open_window",
        "service.start",
        "switch.ask",
        "task.run_python",
        "task.run_shell",
    ]
