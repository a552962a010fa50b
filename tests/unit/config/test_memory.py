"""How much memory models may take: one figure, whichever service asks and whatever its own container may have."""

from __future__ import annotations

from config.memory import available_mb, fleet_mb, machine_mb, model_budget_mb
from config.settings import Settings, SwitchSettings

SMALL = SwitchSettings(memory_mb=1000)


def test_the_setting_decides() -> None:
    assert model_budget_mb(Settings(model_memory_mb=777, switch=SMALL)) == 777


def test_unset_it_is_a_share_of_what_switch_may_have() -> None:
    assert model_budget_mb(Settings(service_hosts="names", switch=SMALL)) == 600
    assert model_budget_mb(Settings(service_hosts="names")) == int(0.6 * machine_mb())


def test_a_containers_own_limit_says_nothing_of_the_others() -> None:
    assert fleet_mb(Settings(service_hosts="names")) == machine_mb()
    assert fleet_mb(Settings()) == available_mb() <= machine_mb()
