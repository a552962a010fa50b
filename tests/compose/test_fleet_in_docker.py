"""`docker compose up` on the real images: all of it healthy, a chat through the door, windows by the real Compose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from config.services import CORE, FLEET, present_services
from tests.support.chats import SMALL, Streamed, chat_body, take_in
from tests.support.containers import needs_engine, run
from tests.support.docker_fleet import UP_SEC, DockerFleet, docker_fleet
from tests.support.eventually import eventually

pytestmark = [needs_engine, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1900)]
PRESENT = {service.name for service in present_services()}
SLEEPERS = PRESENT - set(CORE)
SEA = "Write one sentence about the sea."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[DockerFleet]:
    async with docker_fleet() as fleet:
        yield fleet


async def chat(fleet: DockerFleet, **members: Any) -> dict[str, Any]:
    answer = await fleet.post("/v1/chat/completions", chat_body(SEA, SMALL, members))
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_up_brings_every_service_of_this_build_and_all_are_healthy(fleet: DockerFleet) -> None:
    assert await fleet.running() == PRESENT
    await fleet.compose("up", "-d", "--no-build", "--wait", "--wait-timeout", f"{UP_SEC:.0f}")
    for name in PRESENT:
        state = (await fleet.inspect(name))["State"]
        assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy"), name
        assert (await fleet.get("/health", FLEET[name].port)).json()["module"] == name
    status = (await fleet.get("/vx11/status")).json()
    assert status["policy"] == "full"
    states = {one["name"]: one["state"] for one in status["services"]}
    assert {name for name, state in states.items() if state == "ready"} == PRESENT
    assert {name for name, state in states.items() if state == "absent"} == FLEET.keys() - PRESENT


async def test_nothing_is_published_beyond_loopback(fleet: DockerFleet) -> None:
    for name in PRESENT:
        ports = (await fleet.inspect(name))["NetworkSettings"]["Ports"]
        assert {binding["HostIp"] for bindings in ports.values() for binding in bindings} == {"127.0.0.1"}, name


async def test_containers_are_held_to_the_limits_of_the_table(fleet: DockerFleet) -> None:
    for name in PRESENT:
        host = (await fleet.inspect(name))["HostConfig"]
        assert host["Memory"] == (FLEET[name].limit_mb or 0) * 2**20, name
        assert (host["Init"], host["ReadonlyRootfs"], host["CapDrop"]) == (True, True, ["ALL"]), name


async def test_no_process_of_ours_is_root_and_only_madre_reaches_the_engine(fleet: DockerFleet) -> None:
    look = """if True:
        import os, pathlib
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            words = (process / "cmdline").read_bytes().split(b"\\0")
            if b"config" in words and process.name not in ("1", str(os.getpid())):
                print(process.stat().st_uid)
    """
    for name in PRESENT:
        users = (await fleet.compose("exec", "-T", name, "python", "-c", look)).split()
        assert set(users) == {"10001"}, name
        socket = await fleet.compose("exec", "-T", name, "sh", "-c", "ls /var/run/docker.sock 2>/dev/null || true")
        assert bool(socket.strip()) == (name == "madre")


async def test_hermes_fetches_a_model_into_the_volume(fleet: DockerFleet) -> None:
    """Of the catalogue, by pip, in a container whose root cannot be written."""
    pull = await fleet.post("/hermes/models/pull", {"name": SMALL})
    assert pull.status_code == 202, pull.text

    async def state() -> dict[str, Any]:
        return (await fleet.get(f"/hermes/jobs/{pull.json()['job_id']}")).json()  # type: ignore[no-any-return]

    job = await eventually(state, lambda job: job["finished_at"] is not None, within_sec=300)
    assert job["state"] == "DONE", job
    assert [model["name"] for model in (await fleet.get("/hermes/models")).json()["items"]] == [SMALL]


async def test_a_chat_passes_through_the_door_to_a_real_model(fleet: DockerFleet) -> None:
    whole = await chat(fleet)
    assert whole["usage"]["completion_tokens"] == 24
    seen = Streamed(200)
    body = chat_body(SEA, SMALL, {"stream": True})
    async with fleet.http.stream("POST", fleet.url(8000) + "/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            take_in(seen, line)
    assert seen.whole
    assert seen.text == whole["choices"][0]["message"]["content"] != ""


TRESPASS = """
import os, socket
for name, act in {
    "data": lambda: os.listdir("/data"),
    "others": lambda: open("/proc/1/environ").read(),
    "network": lambda: socket.socket(),
    "signal": lambda: os.kill(1, 0),
}.items():
    try:
        act()
    except PermissionError:
        print(name, "refused")
    else:
        print(name, "OPEN")
"""


async def test_a_task_in_a_container_is_kept_from_the_fleets_files_and_network(fleet: DockerFleet) -> None:
    """With the engine's own filter, no capability and a root that cannot be written."""
    status = (await fleet.get("/spawner/status", FLEET["spawner"].port)).json()
    assert status["isolation"] in ("landlock", "sandlock"), status["findings"]
    spawned = (await fleet.post("/vx11/spawn", {"task_type": "python", "code": TRESPASS, "ttl_seconds": 60})).json()

    async def job() -> dict[str, Any]:
        return (await fleet.get(f"/spawner/jobs/{spawned['spawn_id']}")).json()  # type: ignore[no-any-return]

    ended = await eventually(job, lambda job: job["finished_at"] is not None, within_sec=60)
    assert (ended["status"], ended["error"]) == ("DONE", None)
    assert ended["output_tail"].split() == [
        "data",
        "refused",
        "others",
        "refused",
        "network",
        "refused",
        "signal",
        "refused",
    ]


@pytest.mark.parametrize("order", ["abre hermes durante 10 minutos", "close the window"])
async def test_an_order_in_words_is_carried_out_in_containers(fleet: DockerFleet, order: str) -> None:
    heard = (await fleet.post("/vx11/intent", {"text": order})).json()

    async def plan() -> dict[str, Any]:
        return (await fleet.get(f"/madre/plans/{heard['plan_id']}", FLEET["madre"].port)).json()  # type: ignore[no-any-return]

    ended = await eventually(plan, lambda plan: plan["finished_at"] is not None, within_sec=60)
    assert (ended["status"], ended["error"]) == ("DONE", None)


async def test_a_policy_puts_containers_to_sleep_and_a_request_wakes_one(fleet: DockerFleet) -> None:
    before = (await fleet.inspect("switch"))["Id"]
    await fleet.power("policy/solo_madre/apply", {})
    await eventually(fleet.running, lambda names: names == set(CORE), within_sec=40)
    assert (await chat(fleet))["usage"]["completion_tokens"] == 24
    assert await fleet.running() == {*CORE, "switch"}
    assert (await fleet.inspect("switch"))["Id"] == before
    await fleet.power("policy/full/apply", {})
    for name in SLEEPERS:
        await fleet.comes_to(name, "ready")


async def test_a_window_brings_a_container_that_was_removed_with_the_settings_of_the_file(fleet: DockerFleet) -> None:
    """What madre makes must be what a person's `docker compose up` makes: she resolves the same file alike."""
    of_a_person = await fleet.inspect("hermes")
    await fleet.power("policy/solo_madre/apply", {})
    await fleet.comes_to("hermes", "asleep")
    await fleet.compose("rm", "--force", "hermes")
    window = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 600})
    assert (window["state"], window["exec"]["driver"], window["exec"]["rc"]) == ("open", "compose", 0)
    of_madre = await fleet.inspect("hermes")
    assert of_madre["Id"] != of_a_person["Id"]
    assert set(of_madre["Config"]["Env"]) == set(of_a_person["Config"]["Env"])
    for part in ("Cmd", "User", "Healthcheck"):
        assert of_madre["Config"][part] == of_a_person["Config"][part], part
    for part in ("Memory", "PortBindings", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "LogConfig", "RestartPolicy"):
        assert of_madre["HostConfig"][part] == of_a_person["HostConfig"][part], part
    assert mounts(of_madre) == mounts(of_a_person)
    await fleet.power("window/close", {"window_id": window["window_id"]})
    await fleet.power("policy/full/apply", {})
    for name in SLEEPERS:
        await fleet.comes_to(name, "ready")


def mounts(container: dict[str, Any]) -> set[tuple[str, str]]:
    return {(mount["Name"], mount["Destination"]) for mount in container["Mounts"]}


async def test_the_command_line_inside_a_container_speaks_to_the_fleet(fleet: DockerFleet) -> None:
    told = await fleet.compose("exec", "-T", "tentaculo_link", "./vx11", "status")
    assert all(name in told for name in PRESENT)


async def test_down_and_up_again_finds_models_and_accounts(fleet: DockerFleet) -> None:
    before = (await fleet.get("/hermes/models")).json()
    await fleet.compose("down", "--timeout", "10")
    assert await run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={fleet.project}") == ""
    await fleet.up()
    assert (await fleet.get("/hermes/models")).json() == before
    assert (await chat(fleet))["usage"]["completion_tokens"] == 24


async def test_no_container_ended_by_force_or_printed_a_trace(fleet: DockerFleet) -> None:
    logs = await fleet.compose("logs", "--no-color")
    assert "Traceback" not in logs
    await asyncio.gather(*(fleet.compose("stop", name) for name in PRESENT))
    codes = {name: (await fleet.inspect(name))["State"]["ExitCode"] for name in PRESENT}
    assert set(codes.values()) <= {0, 143}, codes
