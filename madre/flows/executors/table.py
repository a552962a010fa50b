"""The table of executors: for every registered action, how it is done in this build."""

from __future__ import annotations

from types import MappingProxyType

from config.app import House
from madre.actions import ACTIONS
from madre.clients import Hermes, Hormiguero, Manifestator, Spawner, Switch
from madre.flows.executors.hermes import HermesActs
from madre.flows.executors.hormiguero import HormigueroActs
from madre.flows.executors.manifestator import ManifestatorActs
from madre.flows.executors.opening import OpeningActs
from madre.flows.executors.order import Executor, Executors
from madre.flows.executors.own import Autonomous, Canceller, OwnActs, absent
from madre.flows.executors.power import PowerActs
from madre.flows.executors.spawner import SpawnerActs
from madre.flows.executors.switch import SwitchActs
from madre.flows.executors.system import SystemActs
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler


def executors(
    house: House,
    power: Power,
    reconciler: Reconciler,
    plans: Canceller,
    autonomy: Autonomous,
) -> Executors:
    """How each action is done; one whose room is not in this build says so."""
    rows = (
        PowerActs(house, power, reconciler),
        OpeningActs(house, power, reconciler),
        SystemActs(house, power, reconciler),
        HermesActs(Hermes(house.clients)),
        SwitchActs(Switch(house.clients)),
        SpawnerActs(Spawner(house.clients)),
        HormigueroActs(Hormiguero(house.clients)),
        ManifestatorActs(Manifestator(house.clients)),
        OwnActs(plans, autonomy),
    )
    here = {name: executor for row in rows for name, executor in row.table.items()}
    away = {name: Executor(absent) for name, action in ACTIONS.items() if action.owner not in house.present}
    return MappingProxyType({**here, **away})
