"""The machine's signals, read from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from switch.adapters.sensors import Sensors


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc").mkdir()
    stat(tmp_path, busy=100, idle=100)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    return tmp_path


def stat(root: Path, *, busy: int, idle: int) -> None:
    (root / "proc/stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1\n")


def battery(root: Path, name: str, charge: str, status: str = "Discharging", kind: str = "Battery") -> None:
    folder = root / "sys/class/power_supply" / name
    folder.mkdir(parents=True)
    for file, text in (("type", kind), ("status", status), ("capacity", charge)):
        (folder / file).write_text(f"{text}\n")


def test_cpu_is_what_was_used_since_the_look_before(machine: Path) -> None:
    sensors = Sensors(machine)
    assert sensors.look().cpu == 0.0
    stat(machine, busy=130, idle=110)
    assert sensors.look().cpu == 0.75
    assert sensors.look().cpu == 0.75  # nothing has gone by: as before


def test_memory_is_what_is_not_available(machine: Path) -> None:
    assert Sensors(machine).look().memory == 0.75


def test_what_is_not_there_is_none(machine: Path) -> None:
    seen = Sensors(machine).look()
    assert (seen.battery, seen.pressure_cpu, seen.pressure_memory) == (None, None, None)


def test_pressure(machine: Path) -> None:
    (machine / "proc/pressure").mkdir()
    (machine / "proc/pressure/cpu").write_text("some avg10=12.50 avg60=1.00 avg300=0.1 total=1\nfull avg10=0.00\n")
    seen = Sensors(machine).look()
    assert (seen.pressure_cpu, seen.pressure_memory) == (12.5, None)


def test_the_emptiest_battery_in_use_counts(machine: Path) -> None:
    battery(machine, "BAT0", "40")
    battery(machine, "BAT1", "15")
    battery(machine, "BAT2", "5", status="Charging")
    battery(machine, "BAT3", "nonsense")
    battery(machine, "AC", "1", kind="Mains")
    assert Sensors(machine).look().battery == 0.15


def test_this_machine_can_be_read() -> None:
    seen = Sensors().look()
    assert 0 <= seen.cpu <= 1
    assert 0 < seen.memory < 1
