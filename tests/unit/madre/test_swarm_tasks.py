"""What Swarm's records mean, and what is ordered of it."""

from __future__ import annotations

from typing import Any

import pytest

from madre.swarm_tasks import Declared, Task


def declared(*, replicas: int = 0, order: int = 3) -> Declared:
    spec = {
        "Name": "vx11_switch",
        "Labels": {"a": "b"},
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {"ForceUpdate": order, "ContainerSpec": {"Image": "x"}},
    }
    return Declared.of({"ID": "s1", "Version": {"Index": 42}, "Spec": spec}, "vx11")


def a_task(state: str = "running", wanted: str = "running", **more: Any) -> Task:
    row = {
        "ID": "t1",
        "CreatedAt": "2026-11-21T16:00:16.123456789Z",
        "Spec": {"ForceUpdate": 3},
        "NodeID": "n1",
        "DesiredState": wanted,
        "Status": {"State": state, **more},
    }
    return Task.of(row, "switch")


def test_a_service_is_known_by_its_name_in_the_stack() -> None:
    one = declared()
    assert (one.id, one.service, one.version, one.order, one.replicas) == ("s1", "switch", 42, 3, 0)


def test_starting_is_one_task_of_a_new_order_and_changes_nothing_else() -> None:
    before = declared(replicas=0)
    spec = before.to_start([])
    assert spec is not None
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert spec["TaskTemplate"] == {"ForceUpdate": 4, "ContainerSpec": {"Image": "x"}}
    assert (spec["Name"], spec["Labels"]) == ("vx11_switch", {"a": "b"})
    assert before.order == 3, "what was read is left as it was"


def test_a_service_whose_task_ended_gets_a_new_one_though_one_is_wanted_already() -> None:
    spec = declared(replicas=1).to_start([])
    assert spec is not None
    assert spec["TaskTemplate"]["ForceUpdate"] == 4


@pytest.mark.parametrize("wanted", ["running", "shutdown"])
def test_while_a_task_is_alive_no_other_is_ordered(wanted: str) -> None:
    assert declared(replicas=1).to_start([a_task(wanted=wanted)]) is None


def test_stopping_is_no_task_and_once_is_enough() -> None:
    spec = declared(replicas=1).to_stop()
    assert spec is not None
    assert (spec["Mode"], spec["TaskTemplate"]["ForceUpdate"]) == ({"Replicated": {"Replicas": 0}}, 3)
    assert declared(replicas=0).to_stop() is None


@pytest.mark.parametrize("state", ["new", "pending", "assigned", "preparing", "starting", "running"])
def test_a_task_on_its_way_is_alive(state: str) -> None:
    assert a_task(state).is_alive
    assert not a_task(state).is_ending


@pytest.mark.parametrize("state", ["complete", "failed", "rejected", "shutdown", "orphaned", "remove"])
def test_a_task_that_ended_is_not(state: str) -> None:
    assert not a_task(state).is_alive


@pytest.mark.parametrize("wanted", ["shutdown", "remove"])
def test_a_task_that_should_not_run_any_more_is_ending(wanted: str) -> None:
    assert a_task("running", wanted).is_ending


def test_what_swarm_says_of_a_failure_is_kept() -> None:
    one = a_task("failed", "shutdown", Err="task: non-zero exit (137)", ContainerStatus={"ExitCode": 137})
    assert one.complaints == ("task: non-zero exit (137)", "switch ended with status 137.")
    assert a_task("pending", Err="no suitable node (insufficient resources on 1 node)").complaints == (
        "no suitable node (insufficient resources on 1 node)",
    )
    assert a_task().complaints == ()
