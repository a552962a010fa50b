"""The doctor's words on a machine: what is wrong, and the act that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.doctor import machine
from scripts.doctor.ports import Holder
from scripts.quantities import GB, GIB, MB
from scripts.setup.compiler import Compiler
from scripts.setup.memory import Memory
from scripts.surroundings import here

GCC = Compiler(Path("/usr/bin/c++"), "c++ 12.2.0")


@pytest.mark.parametrize(
    ("version", "fatal"),
    [(("3", "11", "0"), False), (("3", "14", "1"), False), (("3", "9", "2"), True), (("2", "7", "18"), True)],
)
def test_python(version: tuple[str, ...], fatal: bool) -> None:
    finding = machine.python_version(version)
    assert finding.fatal is fatal
    assert ".".join(version) in finding.words
    assert bool(finding.remedy) is fatal


def test_no_ensurepip_names_the_package_to_install() -> None:
    assert machine.virtual_environments(True).good
    assert "python3-venv" in machine.virtual_environments(False).remedy


def test_no_compiler_matters_only_while_there_is_something_to_compile() -> None:
    assert machine.compiler(GCC, needed=True).good
    assert machine.compiler(None, needed=False).good
    missing = machine.compiler(None, needed=True)
    assert missing.fatal
    assert "apt install g++" in missing.remedy


def test_a_full_disk_says_how_much_to_free() -> None:
    finding = machine.free_disk(Path("/srv"), 300 * MB, 1_200 * MB)
    assert finding.fatal
    assert "300.0 MB free, 1.2 GB needed" in finding.words
    assert finding.remedy == "Free 900.0 MB there."


def test_a_tight_disk_is_a_warning() -> None:
    assert machine.free_disk(Path("/srv"), 1 * GB, 500 * MB).state == "warning"
    assert machine.free_disk(Path("/srv"), 3 * GB, 500 * MB).good


def test_a_folder_that_is_not_there_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert machine.write_permission([tmp_path / "data" / "runtime"]).good


def test_a_folder_of_somebody_else_is_named() -> None:
    sealed = Path("/proc/1/vx11")  # nobody can write there, not even root
    finding = machine.write_permission([sealed])
    assert finding.fatal
    assert str(sealed) in finding.words
    assert "chown" in finding.remedy


@pytest.mark.parametrize(
    ("total", "available", "state"),
    [(GIB // 2, GIB // 3, "failure"), (8 * GIB, GIB // 2, "warning"), (3 * GIB // 2, 5 * GIB // 4, "warning"),
     (8 * GIB, 6 * GIB, "ok")],
)  # fmt: skip
def test_memory(total: int, available: int, state: str) -> None:
    assert machine.memory_size(Memory(total, available)).state == state


def test_a_taken_port_names_its_holder_and_the_way_round() -> None:
    finding = machine.free_ports([8000, 8001], [Holder(8000, 4711, "nginx"), Holder(8001, None, None)])
    assert finding.fatal
    assert finding.words == ("Port 8000 is taken by nginx (pid 4711); port 8001 is taken by a process of another user.")
    assert "VX11_PORT_OFFSET" in finding.remedy


def test_free_ports_are_fine() -> None:
    assert machine.free_ports([8000, 8001], []).good


def test_this_very_machine_can_be_examined() -> None:
    findings = machine.examine(here(), needed_bytes=0, compiles=False)
    assert {"Python", "venv", "C++ compiler", "disk", "permissions"} <= {finding.subject for finding in findings}
    assert all(finding.words for finding in findings)
    assert all(finding.remedy for finding in findings if finding.fatal)
