"""The images: what is in them, who runs in them, and that one build of llama.cpp computes right on several CPUs."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from scripts.cli.images import TARGETS
from tests.support.chats import FILES, SMALL
from tests.support.containers import needs_engine
from tests.support.docker_fleet import ROOT, images, inspected
from tests.support.worker import model_file

pytestmark = [needs_engine, pytest.mark.timeout(1900)]
BASE = "python:3.13-slim-trixie"
# What each may add to the base image, MB; measured in docs/operations.md.
ROOM = {"core": 250, "madre": 400, "switch": 320}
EVERYWHERE = {"x64", "sse42", "ivybridge", "haswell"}  # what any CPU of the last ten years can run
MODULES = EVERYWHERE | {"alderlake", "skylakex", "cascadelake"}
CANNOT_RUN_HERE = 3

every_image = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture(autouse=True, scope="module")
def _built() -> None:
    images()


async def in_image(target: str, *command: str, mounts: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a program in an image of ours."""
    volumes = [word for mount in mounts for word in ("-v", mount)]
    first, *others = command
    argv = ["docker", "run", "--rm", *volumes, "--entrypoint", first, f"vx11-{target}", *others]
    return await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)


@every_image
async def test_an_image_is_not_larger_than_its_duty(target: str) -> None:
    own, base = [(await inspected(name))["Size"] / 1e6 for name in (f"vx11-{target}", BASE)]
    assert own - base < ROOM[target]


@every_image
async def test_an_image_holds_the_house_and_neither_tests_nor_secrets_nor_data(target: str) -> None:
    found = (await in_image(target, "ls", "-A", "/app")).stdout.split()
    assert {"config", "madre", "switch", "docker-compose.yml", "vx11"} <= set(found)
    assert not {".env", ".git", "tests", "models", "data", "build"} & set(found)


@every_image
async def test_only_what_a_duty_needs_is_in_its_image(target: str) -> None:
    look = "import importlib.util as u, shutil; print(bool(u.find_spec('llama_cpp')), bool(shutil.which('docker')))"
    assert (await in_image(target, "python", "-c", look)).stdout.split() == [
        str(target == "switch"), str(target == "madre"),
    ]  # fmt: skip


@every_image
async def test_nobody_can_change_the_code_from_inside(target: str) -> None:
    done = await in_image(target, "python", "-c", "import os; print(os.access('/app', os.W_OK), os.geteuid())")
    assert done.stdout.split() == (["True", "0"] if target == "madre" else ["False", "10001"])


async def test_madres_image_is_left_by_root_before_anything_of_ours_runs() -> None:
    look = "import os; print(os.geteuid(), os.getegid(), os.getgroups())"
    enter = "/app/scripts/container/with-engine"
    group = Path("/var/run/docker.sock").stat().st_gid
    socket = ("/var/run/docker.sock:/var/run/docker.sock",)
    with_socket = await in_image("madre", enter, "python", "-c", look, mounts=socket)
    assert with_socket.stdout.strip() == f"10001 10001 [{group}]"
    without = await in_image("madre", enter, "python", "-c", look)
    assert without.stdout.strip() == "10001 10001 [10001]"


async def test_the_default_token_is_refused_in_a_container_that_is_published_to_others() -> None:
    variables = ["-e", "VX11_TOKEN=vx11-local-token", "-e", "VX11_BIND=0.0.0.0"]
    argv = ["docker", "run", "--rm", *variables, "vx11-core", "tentaculo_link"]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "VX11_BIND is 0.0.0.0" in done.stderr


async def test_a_container_whose_service_is_not_there_is_not_healthy() -> None:
    done = await in_image("core", "python", "-S", "-m", "config.probe", "hermes")
    assert (done.returncode, done.stdout.strip()) == (1, "hermes: [Errno 111] Connection refused")


async def sung(module: str) -> dict[str, object] | None:
    """What the small model says when `module` computes; None where this CPU cannot run it."""
    file = model_file(FILES[SMALL]).resolve()
    mounts = (f"{file}:/model.gguf:ro", f"{ROOT / 'tests/support/sing.py'}:/sing.py:ro")
    environment = ("env", "PYTHONPATH=/app", "python", "/sing.py", module, "/model.gguf")
    done = await in_image("switch", *environment, mounts=mounts)
    assert done.returncode in {0, CANNOT_RUN_HERE}, f"{module}: {done.returncode} {done.stderr}"
    return None if done.returncode == CANNOT_RUN_HERE else json.loads(done.stdout)


async def test_every_module_that_can_run_here_computes_the_same() -> None:
    songs = {module: await sung(module) for module in sorted(MODULES)}
    able = {module: song for module, song in songs.items() if song is not None}
    assert able.keys() >= EVERYWHERE
    assert {module: song["modules"] for module, song in able.items()} == {
        module: [f"libggml-cpu-{module}.so"] for module in able
    }
    assert len({song["said"] for song in able.values()}) == 1


async def test_the_best_module_for_this_cpu_is_chosen() -> None:
    chosen = await sung("best")
    assert chosen is not None
    last = [module for module in ("haswell", "alderlake", "skylakex", "cascadelake") if await sung(module)][-1]
    assert chosen["modules"] == [f"libggml-cpu-{last}.so"]


async def test_the_modules_are_those_of_the_recipe() -> None:
    listing = await in_image("switch", "sh", "-c", "ls /opt/vx11/lib/python3*/site-packages/llama_cpp/lib")
    modules = {name for name in listing.stdout.split() if "-cpu" in name}
    assert modules == {f"libggml-cpu-{module}.so" for module in MODULES}
