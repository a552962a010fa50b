"""The gate before a real engine, tried with the real `docker`: what madre needs passes, a way to the host does not.

That the compose driver works behind it like without it is tested in `tests/fleet/test_drivers.py`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.support.containers import IMAGE, Containers, Gate, containers_in, gate_before, needs_engine, run

pytestmark = [needs_engine, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Guarded:
    """A project, a gate for it, and a container at the same engine that is none of its business."""

    containers: Containers
    gate: Gate
    foreign: str

    async def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `docker` through the gate."""
        argv = ("docker", "-H", self.gate.address, *arguments)
        return await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    folder, other = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("foreign")
    async with (
        containers_in(folder) as containers,
        containers_in(other) as foreign,
        gate_before(folder, containers.project) as gate,
    ):
        yield Guarded(containers, gate, (await foreign.ids())["madre"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--rm", "--privileged"),
        ("run", "--rm", "-v", "/:/host"),
        ("run", "--rm", "-v", "/var/run/docker.sock:/var/run/docker.sock"),
        ("run", "--rm", "--mount", "type=bind,source=/,target=/host"),
        (
            "run",
            "--rm",
            "--mount",
            "type=volume,target=/host,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/",
        ),
        ("run", "--rm", "--pid", "host"),
        ("run", "--rm", "--network", "host"),
        ("run", "--rm", "--network", "bridge"),
        ("run", "--rm", "--network", "container:{foreign}"),
        ("run", "--rm", "--volumes-from", "{foreign}"),
        ("run", "--rm", "--cap-add", "SYS_ADMIN"),
        ("run", "--rm", "--device", "/dev/null"),
        ("run", "--rm", "--security-opt", "seccomp=unconfined"),
        ("run", "--rm", "-p", "18999:80", "--network", "none"),
    ],
    ids=" ".join,
)
async def test_no_container_with_a_way_to_the_host_is_created(guarded: Guarded, arguments: tuple[str, ...]) -> None:
    labels = ("com.docker.compose.project=" + guarded.containers.project, "com.docker.compose.service=switch")
    wanted = [word.format(foreign=guarded.foreign) for word in arguments]
    tried = await guarded.docker(*wanted, *(f"--label={label}" for label in labels), IMAGE, "true")
    assert tried.returncode != 0
    assert any(
        word in tried.stderr for word in ("may not", "gets named volumes only", "joins networks", "is not of")
    ), tried.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--rm", "--network", "none", IMAGE, "true"),
        ("exec", "{ours}", "true"),
        ("cp", "{ours}:/etc/hostname", "-"),
        ("rm", "-f", "{ours}"),
        ("update", "--memory", "1g", "{ours}"),
        ("kill", "{ours}"),
        ("commit", "{ours}"),
        ("export", "{ours}"),
        ("pull", IMAGE),
        ("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/", "x"),
        ("network", "create", "x"),
        ("swarm", "init"),
        ("secret", "ls"),
        ("plugin", "ls"),
        ("inspect", "{foreign}"),
        ("logs", "{foreign}"),
        ("stop", "{foreign}"),
        ("start", "{foreign}"),
        ("stats", "--no-stream", "{foreign}"),
    ],
    ids=" ".join,
)
async def test_nothing_else_passes(guarded: Guarded, arguments: tuple[str, ...]) -> None:
    ours = (await guarded.containers.ids())["madre"]
    tried = await guarded.docker(*(word.format(ours=ours, foreign=guarded.foreign) for word in arguments))
    assert tried.returncode != 0
    reasons = ("does not pass this gate", "not of the project", "would not be of")
    assert any(reason in tried.stderr for reason in reasons), tried.stderr
    state = await run("docker", "inspect", "-f", "{{.State.Running}}", guarded.foreign, ours)
    assert state.split() == ["true", "true"]


async def test_lists_show_the_project_only(guarded: Guarded) -> None:
    everything = await guarded.docker("ps", "-a", "--format", "{{.Names}}")
    names = everything.stdout.split()
    assert names
    assert all(name.startswith(guarded.containers.project) for name in names)
    networks = await guarded.docker("network", "ls", "--format", "{{.Name}}")
    assert networks.stdout.split() == [f"{guarded.containers.project}_default"]


async def test_a_name_that_comes_twice_is_read_as_the_engine_reads_it(guarded: Guarded) -> None:
    """Go merges two values of one name, Python takes the second: what passes is what was judged."""
    project = guarded.containers.project
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "switch"}
    twice = f'{{"Image": "{IMAGE}", "Labels": {json.dumps(labels)}, "HostConfig": {{"Privileged": true}}, '
    twice += '"HostConfig": {"NetworkMode": "none"}}'
    created = await ask(guarded.gate, "POST", "/v1.41/containers/create?name=twice", twice)
    assert created[0] == 201
    container = json.loads(created[1])["Id"]
    try:
        assert (await run("docker", "inspect", "-f", "{{.HostConfig.Privileged}}", container)).strip() == "false"
    finally:
        await run("docker", "rm", "-f", container)


@pytest.mark.parametrize(
    "path",
    ["/v1.23/containers/{ours}/start", "/containers/%7Bours%7D/../{ours}/exec", "/v1.41/containers/{ours}%2Fexec"],
)
async def test_paths_in_disguise_do_not_pass(guarded: Guarded, path: str) -> None:
    ours = (await guarded.containers.ids())["madre"]
    status, _ = await ask(guarded.gate, "POST", path.replace("{ours}", ours), '{"Privileged": true}')
    assert status == 403


async def ask(gate: Gate, method: str, target: str, body: str) -> tuple[int, bytes]:
    """Send a request as it is written: a client's library would tidy the path."""
    reader, writer = await asyncio.open_unix_connection(gate.address.removeprefix("unix://"))
    head = f"{method} {target} HTTP/1.0\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    answer = await reader.read()
    writer.close()
    head_bytes, _, content = answer.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), content
