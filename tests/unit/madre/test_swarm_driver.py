"""What the swarm driver makes of machines that are lost and of others who scale at the same moment."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import StartFailed, Unavailable
from madre.adapters.engine import Engine
from madre.adapters.swarm import SwarmDriver


class ScriptedSwarm(Engine):
    """A swarm in a few dicts: one service, its tasks, its machines."""

    def __init__(self, *, refusals: int = 0) -> None:
        super().__init__("unix:///nowhere", lambda **_: pytest.fail("the engine was spoken to"))
        self.refusals = refusals
        self.version = 7
        self.nodes = {"n1": "ready", "n2": "ready"}
        self.tasks: list[dict[str, Any]] = []
        self.spec = {
            "Name": "vx11_switch",
            "Mode": {"Replicated": {"Replicas": 0}},
            "TaskTemplate": {"ForceUpdate": 0},
        }

    def has_task(self, node: str, *, wanted: str = "running", order: int = 0) -> None:
        self.tasks.append({
            "ID": f"t{len(self.tasks)}",
            "ServiceID": "s1",
            "NodeID": node,
            "CreatedAt": f"2026-11-21T16:00:{len(self.tasks):02}Z",
            "DesiredState": wanted,
            "Status": {"State": "running"},
            "Spec": {"ForceUpdate": order},
        })  # fmt: skip

    async def get(self, path: str, **query: str) -> Any:
        if path == "/services":
            return [{"ID": "s1", "Version": {"Index": self.version}, "Spec": self.spec}]
        if path == "/nodes":
            return [{"ID": node, "Status": {"State": state}} for node, state in self.nodes.items()]
        return self.tasks

    async def post(self, path: str, body: Any = None, *, within_sec: float = 5, **query: str) -> Any:
        if self.refusals:
            self.refusals -= 1
            self.version += 1
            raise Unavailable("Docker's engine refused: rpc error: code = Unknown desc = update out of sequence")
        assert (path, query) == ("/services/s1/update", {"version": str(self.version)})
        self.spec = body
        if body["Mode"]["Replicated"]["Replicas"]:
            self.has_task("n2", order=body["TaskTemplate"]["ForceUpdate"])


async def test_a_task_on_a_lost_machine_does_not_run() -> None:
    """Swarm cannot tell how it fares there and goes on calling it running: madre starts another elsewhere."""
    swarm = ScriptedSwarm()
    swarm.has_task("n1", wanted="shutdown")
    driver = SwarmDriver(swarm, "vx11")
    assert (await driver.observe())["switch"].stopping
    swarm.nodes["n1"] = "down"
    assert await driver.observe() == {}
    await driver.start("switch")
    assert (await driver.observe())["switch"].instance == "t1"


async def test_of_two_tasks_the_one_that_is_to_stay_is_seen() -> None:
    swarm = ScriptedSwarm()
    swarm.has_task("n1")
    swarm.has_task("n2", wanted="shutdown")
    seen = (await SwarmDriver(swarm, "vx11").observe())["switch"]
    assert (seen.instance, seen.stopping) == ("t0", False)


async def test_somebody_scaling_at_the_same_moment_is_waited_out() -> None:
    swarm = ScriptedSwarm(refusals=3)
    await SwarmDriver(swarm, "vx11").start("switch")
    assert swarm.spec["Mode"] == {"Replicated": {"Replicas": 1}}


async def test_but_not_for_ever() -> None:
    with pytest.raises(Unavailable, match="all the time"):
        await SwarmDriver(ScriptedSwarm(refusals=99), "vx11").start("switch")


@pytest.mark.parametrize("service", ["hermes", "anything else"])
async def test_what_the_stack_does_not_hold_is_not_started_and_not_stopped(service: str) -> None:
    driver = SwarmDriver(ScriptedSwarm(), "vx11")
    with pytest.raises(StartFailed):
        await driver.start(service)
    await driver.stop(service)
