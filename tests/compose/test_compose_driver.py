"""The compose driver on a real engine: what only containers do, and what goes wrong with them.

What every driver promises is tested on this one too, in `tests/fleet/test_drivers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from config.errors import StartFailed, Unavailable
from madre.adapters.compose import ComposeDriver
from madre.drivers import Observed
from tests.support.containers import Containers, containers_in, driver_on, gate_before, needs_engine, run
from tests.support.eventually import eventually

pytestmark = needs_engine


def gone(service: str) -> Callable[[Mapping[str, Observed]], bool]:
    return lambda seen: service not in seen


async def ended(driver: ComposeDriver, service: str) -> str:
    """Start a service that ends by itself; its last words."""
    await driver.start(service)
    await eventually(driver.observe, gone(service), within_sec=30)
    return await driver.last_words(service)


async def test_what_is_started_and_stopped_by_hand_is_seen(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        assert "switch" not in await driver.observe()
        await containers.up("switch")
        first = (await driver.observe())["switch"]
        await containers.compose("restart", "-t", "0", "switch")
        second = await eventually(driver.observe, lambda seen: seen["switch"].instance != first.instance)
        assert second["switch"].started_at > first.started_at
        await containers.compose("kill", "switch")
        await eventually(driver.observe, gone("switch"))
        await containers.compose("rm", "-f", "switch")
        await driver.start("switch")
        assert (await driver.observe())["switch"].instance not in (first.instance, second["switch"].instance)


async def test_a_container_is_made_once_and_started_again(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        made = set()
        for _ in range(3):
            await driver.start("switch")
            made.add((await containers.ids())["switch"])
            await driver.stop("switch")
            await eventually(driver.observe, gone("switch"))
        assert len(made) == 1


async def test_the_limit_of_a_container_is_told(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        containers.declared["hermes"].pop("mem_limit")
        containers.declared["hermes"].pop("memswap_limit")
        containers.write()
        await driver.start("switch")
        await driver.start("hermes")
        usage = await eventually(driver.usage, lambda usage: {"switch", "hermes"} <= usage.keys())
        assert (usage["switch"].memory_limit_mb, usage["hermes"].memory_limit_mb) == (64.0, None)


async def test_the_gateway_is_brought_back_as_it_was_made_and_never_made(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        before = (await driver.observe())["tentaculo_link"]
        container = (await containers.ids())["tentaculo_link"]
        await driver.start("tentaculo_link")
        assert (await driver.observe())["tentaculo_link"] == before, "it ran already"
        await containers.compose("stop", "-t", "0", "tentaculo_link")
        await driver.start("tentaculo_link")
        assert (await driver.observe())["tentaculo_link"].instance != before.instance
        assert (await containers.ids())["tentaculo_link"] == container
        await containers.compose("rm", "-f", "-s", "tentaculo_link")
        with pytest.raises(StartFailed, match="has no container"):
            await driver.start("tentaculo_link")


async def test_somebody_elses_containers_and_single_runs_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with (
        containers_in(tmp_path) as containers,
        containers_in(tmp_path / "other") as other,
        driver_on(containers, tmp_path) as driver,
    ):
        await other.up("switch")
        await containers.compose("run", "-d", "--no-deps", "hermes")
        assert set(await driver.observe()) == {"tentaculo_link", "madre"}
        await driver.stop("switch")
        assert "switch" in await other.ids(also_ended=False)


async def test_a_stubborn_service_is_stopping_until_its_grace_is_over(tmp_path: Path) -> None:
    behaviour = {"switch": "stubborn"}
    async with containers_in(tmp_path, **behaviour) as containers, driver_on(containers, tmp_path) as driver:
        await driver.start("switch")
        instance = (await driver.observe())["switch"].instance
        await says(containers, "switch", "lives")
        await driver.stop("switch")
        seen = (await driver.observe())["switch"]
        assert (seen.instance, seen.stopping) == (instance, True)
        await driver.start("switch")  # changes nothing while it is stopping
        await eventually(driver.observe, gone("switch"))
        assert "signal 9" in await driver.last_words("switch")


async def says(containers: Containers, service: str, words: str) -> None:
    """Wait until a container has printed something."""
    await eventually(lambda: containers.compose("logs", "--no-color", service), lambda log: words in log)


async def test_a_paused_service_is_seen_and_can_be_stopped(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        await driver.start("switch")
        await containers.compose("pause", "switch")
        assert "switch" in await driver.observe()
        await driver.stop("switch")
        await eventually(driver.observe, gone("switch"))


async def test_last_words_say_how_it_ended_and_hold_no_secret(tmp_path: Path) -> None:
    behaviour = {"switch": "dies", "hermes": "hungry"}
    async with containers_in(tmp_path, **behaviour) as containers, driver_on(containers, tmp_path) as driver:
        assert await driver.last_words("switch") == ""
        said = await ended(driver, "switch")
        assert said.splitlines()[0] == "switch ended with status 1."
        assert "no such file: list, [redacted]" in said
        assert "more memory than its container has" in await ended(driver, "hermes")


async def test_a_killed_service_says_by_which_signal(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        await driver.start("switch")
        assert "ended" not in await driver.last_words("switch")  # it lives
        await containers.compose("kill", "-s", "KILL", "switch")
        await eventually(driver.observe, gone("switch"))
        assert (await driver.last_words("switch")).startswith("switch was ended by signal 9.")


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"image": "vx11-test-there-is-no-such-image"}, "no such image"),
        ({"entrypoint": ["/no/such/program"], "init": False}, "no such file or directory"),
        ({"privileged": True}, "gives it privileged"),
        ({"image": "$UNCLOSED{"}, "invalid"),
    ],
    ids=str,
)
async def test_a_poisoned_service_cannot_begin_and_says_why(
    tmp_path: Path, spoilt: dict[str, object], reason: str
) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        await driver.start("hermes")
        containers.declared["switch"].update(spoilt)
        containers.write()
        with pytest.raises(StartFailed, match=f"(?i){reason}") as failed:
            await driver.start("switch")
        assert str(tmp_path) not in failed.value.detail
        assert set(await driver.observe()) == {"tentaculo_link", "madre", "hermes"}


async def test_the_file_is_read_again_once_it_has_changed(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        declared = containers.declared.pop("switch")
        containers.write()
        with pytest.raises(StartFailed, match="declares no service switch"):
            await driver.start("switch")
        containers.declared["switch"] = declared
        containers.write()
        await driver.start("switch")
        containers.file.unlink()
        with pytest.raises(StartFailed, match="no compose file"):
            await driver.start("hermes")
        await driver.stop("switch")  # needs no file
        await eventually(driver.observe, gone("switch"))
        containers.write()


async def test_an_engine_that_goes_away_is_no_fault_of_a_service(tmp_path: Path) -> None:
    """The gate stands for the engine here: the real one runs other tests' containers too."""
    async with (
        containers_in(tmp_path) as containers,
        gate_before(tmp_path, containers.project) as engine,
        driver_on(containers, tmp_path, engine.address) as driver,
    ):
        await driver.start("switch")
        instance = (await driver.observe())["switch"].instance
        engine.kill()
        for call in (driver.observe(), driver.start("hermes"), driver.stop("switch")):
            with pytest.raises(Unavailable):
                await call
        assert await driver.usage() == {}
        assert await driver.last_words("switch") == ""
        await containers.compose("restart", "-t", "0", "switch")  # nobody hears of it
        await engine.start()
        seen = await driver.observe()
        assert seen["switch"].instance != instance
        await driver.stop("switch")
        await eventually(driver.observe, gone("switch"))


async def test_a_stop_outlives_an_engine_that_goes_away_meanwhile(tmp_path: Path) -> None:
    behaviour = {"switch": "stubborn"}
    async with (
        containers_in(tmp_path, **behaviour) as containers,
        gate_before(tmp_path, containers.project) as engine,
        driver_on(containers, tmp_path, engine.address) as driver,
    ):
        await driver.start("switch")
        await says(containers, "switch", "lives")
        await driver.stop("switch")
        engine.kill()
        await engine.start()
        assert (await driver.observe())["switch"].stopping
        await eventually(driver.observe, gone("switch"))


async def test_usage_is_the_containers_own(tmp_path: Path) -> None:
    async with containers_in(tmp_path) as containers, driver_on(containers, tmp_path) as driver:
        await driver.start("switch")
        usage = await driver.usage()
        assert set(usage) == {"tentaculo_link", "madre", "switch"}
        shown = await run("docker", "inspect", "-f", "{{.HostConfig.Memory}}", (await containers.ids())["switch"])
        assert 0 < usage["switch"].memory_mb < int(shown) / 2**20
