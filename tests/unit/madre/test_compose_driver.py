"""What the compose driver makes of orders that come together, without any engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from config.errors import StartFailed
from madre.adapters.compose import ComposeDriver
from madre.adapters.compose_command import ComposeCommand
from madre.adapters.engine import Engine, unframed


class ScriptedCommand(ComposeCommand):
    """Runs no program: notes what should be brought up, and fails for some."""

    def __init__(self, *broken: str) -> None:
        super().__init__(Path("docker-compose.yml"), "vx11", "unix:///nowhere")
        self.told: list[tuple[str, ...]] = []
        self.broken = set(broken)
        self.gate = asyncio.Event()
        self.gate.set()

    async def config(self) -> dict[str, Any]:
        return {"services": {"switch": {}, "hermes": {}, "spawner": {}}}

    async def up(self, *services: str) -> None:
        self.told.append(services)
        await self.gate.wait()
        if bad := self.broken.intersection(services):
            raise StartFailed(f"{bad} is broken")


class AnsweringEngine(Engine):
    """Answers every question with nothing."""

    def __init__(self) -> None:
        super().__init__("unix:///nowhere", lambda **_: pytest.fail("the engine was spoken to"))

    async def get(self, path: str, **query: str) -> Any:
        return [] if path.endswith("/json") else {}


def driver_with(command: ScriptedCommand) -> ComposeDriver:
    return ComposeDriver(AnsweringEngine(), command, "vx11")


async def outcomes(driver: ComposeDriver, *services: str) -> Mapping[str, BaseException | None]:
    results = await asyncio.gather(*(driver.start(service) for service in services), return_exceptions=True)
    return dict(zip(services, results, strict=True))


async def test_what_is_asked_for_in_one_moment_is_brought_up_in_one_go() -> None:
    command = ScriptedCommand()
    results = await outcomes(driver_with(command), "switch", "hermes", "switch")
    assert command.told == [("hermes", "switch")]
    assert set(results.values()) == {None}


async def test_what_comes_meanwhile_is_the_next_go() -> None:
    command = ScriptedCommand()
    command.gate.clear()
    driver = driver_with(command)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(driver.start("switch"))
        while not command.told:
            await asyncio.sleep(0)
        group.create_task(driver.start("hermes"))
        group.create_task(driver.start("spawner"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert command.told == [("switch",)]
        command.gate.set()
    assert command.told == [("switch",), ("hermes", "spawner")]


async def test_nobody_pays_for_anothers_fault() -> None:
    command = ScriptedCommand("hermes")
    driver = driver_with(command)
    results = await outcomes(driver, "hermes", "spawner", "switch")
    assert (results["switch"], results["spawner"]) == (None, None)
    assert isinstance(results["hermes"], StartFailed)
    assert command.told == [("hermes", "spawner", "switch"), ("hermes",), ("spawner",), ("switch",)]
    assert "is broken" in await driver.last_words("hermes")
    assert await driver.last_words("switch") == ""
    command.broken.clear()
    await driver.start("hermes")
    assert await driver.last_words("hermes") == ""


async def test_who_stops_waiting_stops_nobody_else() -> None:
    command = ScriptedCommand()
    command.gate.clear()
    driver = driver_with(command)
    first, second = asyncio.create_task(driver.start("switch")), asyncio.create_task(driver.start("hermes"))
    while not command.told:
        await asyncio.sleep(0)
    first.cancel()
    command.gate.set()
    async with asyncio.timeout(10):
        await second
    assert command.told == [("hermes", "switch")]


@pytest.mark.parametrize("name", ["madre", "--help", "switch; id", "$(id)", "operator"])
async def test_a_name_that_may_not_be_started_reaches_no_program(name: str) -> None:
    command = ScriptedCommand()
    with pytest.raises(StartFailed):
        await driver_with(command).start(name)
    assert command.told == []


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def test_a_log_comes_without_its_frames() -> None:
    log = frame(1, b"one\n") + frame(2, b"two ") + frame(1, "drei\xff".encode("latin-1"))
    assert unframed(log) == "one\ntwo drei\ufffd"
    assert unframed(frame(1, b"whole\n") + frame(2, b"cut off")[:-3]) == "whole\ncut "
    assert unframed(b"") == ""
    assert unframed(b"a terminal has no frames\n") == "a terminal has no frames\n"
