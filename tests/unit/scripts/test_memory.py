"""Memory is the machine's, or the container's where that is less."""

from __future__ import annotations

from pathlib import Path

from scripts.setup.memory import Memory, read_memory

MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   6000000 kB\n"


def read(folder: Path, **cgroup: str) -> Memory | None:
    (folder / "meminfo").write_text(MEMINFO)
    for name, text in cgroup.items():
        (folder / name.replace("_", ".")).write_text(text)
    return read_memory(folder / "meminfo", folder)


def test_the_host(tmp_path: Path) -> None:
    assert read(tmp_path) == Memory(8_192_000_000, 6_144_000_000)


def test_a_container_is_cut_to_its_limit(tmp_path: Path) -> None:
    memory = read(tmp_path, memory_max="1000000000\n", memory_current="300000000\n")
    assert memory == Memory(1_000_000_000, 700_000_000)


def test_a_container_without_a_limit_is_the_host(tmp_path: Path) -> None:
    assert read(tmp_path, memory_max="max\n", memory_current="5\n") == Memory(8_192_000_000, 6_144_000_000)


def test_nothing_is_invented_where_nothing_tells(tmp_path: Path) -> None:
    assert read_memory(tmp_path / "absent", tmp_path) is None
