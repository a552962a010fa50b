"""Which facts a step depends on: those that change what it means, and no others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from madre.actions import ACTIONS, action_named
from madre.world import Change, KnownModel, World, difference, facts
from tests.support.drafts import NOW, window, world


def found(name: str, at: World, **arguments: Any) -> dict[str, str]:
    return facts(action_named(name), arguments, at)


def test_a_model_is_what_it_was() -> None:
    at = world(models={"gemma": KnownModel("gemma", "ab" * 32, True), "smol": KnownModel("smol", None, False)})
    assert found("models.delete", at, model="gemma") == {"model gemma": "enabled, abababababab"}
    assert found("models.disable", at, model="smol") == {"model smol": "disabled, no hash"}
    assert found("models.enable", at, model="new") == {"model new": "there is none"}


def test_a_scan_of_all_models_depends_on_all_of_them() -> None:
    assert list(found("hermes.scan", world(), verify=False)) == ["model gemma", "model smol"]
    assert found("models.list", world()) == {}


def test_a_service_is_up_or_down_and_held_by_somebody() -> None:
    asleep = found("service.stop", world(), service="switch")
    assert asleep == {"service switch": "down, held by nobody"}
    up = world(services={"switch": "ready"}, windows=(window("w2", "switch"), window("w1", "switch", "hermes")))
    assert found("service.stop", up, service="switch") == {"service switch": "up, held by w1, w2"}


@pytest.mark.parametrize("changed", ["starting", "ready", "unready"])
def test_how_a_service_is_up_is_no_change(changed: str) -> None:
    one = found("service.stop", world(services={"switch": "ready"}), service="switch")
    assert found("service.stop", world(services={"switch": changed}), service="switch") == one


def test_leases_that_requests_take_change_nothing() -> None:
    waked = world(windows=(window("w", "switch", origin="wake"), window("v", "switch", state="closed")))
    assert found("power.apply_policy", waked, policy="full") == found("power.apply_policy", world(), policy="full")


def test_windows_that_people_open_do() -> None:
    opened = found("power.close_window", world(windows=(window("w", "switch", "hermes"),)))
    assert opened == {"power policy": "solo_madre", "window w": "ttl on switch, hermes"}


def test_the_seconds_of_a_window_are_no_fact() -> None:

    one, other = window("w", "switch"), window("w", "switch", deadline=NOW + timedelta(seconds=9), ttl_sec=9.0)
    assert found("power.close_window", world(windows=(one,))) == found("power.close_window", world(windows=(other,)))


@pytest.mark.parametrize(
    ("status", "fact"),
    [("WAITING", "under way"), ("RUNNING", "under way"), ("DONE", "DONE"), (None, "there is none")],
)
def test_a_plan_or_task_is_under_way_or_ended(status: str | None, fact: str) -> None:
    known = {"spawn-1": status} if status else {}
    assert found("task.kill", world(tasks=known), task_id="spawn-1") == {"task spawn-1": fact}
    assert found("plans.cancel", world(plans=known), plan_id="spawn-1") == {"plan spawn-1": fact}


def test_every_registered_action_has_facts_or_none_and_never_fails() -> None:
    for action in ACTIONS.values():
        assert all(isinstance(fact, str) for fact in facts(action, {}, world()).values())


def test_the_difference_is_said_in_the_order_of_names() -> None:
    assert difference({"b": "1", "a": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        Change("b", "1", "2"),
        Change("c", "1", "there is none"),
        Change("d", "there is none", "1"),
    ]
    assert difference({"a": "1"}, {"a": "1"}) == []
