"""What decides how a compiled llama.cpp looks."""

from __future__ import annotations

from pathlib import Path

from scripts.setup.compiler import cpu_features, find_compiler

X86 = """processor\t: 0
flags\t\t: fpu vme sse2 avx2 amx_tile ibrs_enhanced md_clear bmi2
bugs\t\t: spectre_v1

processor\t: 1
flags\t\t: fpu avx512f
"""


def a_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_only_instruction_sets_count(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(X86)
    assert cpu_features(tmp_path / "cpuinfo") == ("amx_tile", "avx2", "bmi2", "sse2")


def test_arm_lists_features(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nFeatures : fp asimd sve\n")
    assert cpu_features(tmp_path / "cpuinfo") == ("asimd", "fp", "sve")


def test_a_machine_that_tells_nothing_has_none(tmp_path: Path) -> None:
    assert cpu_features(tmp_path / "absent") == ()


def test_cxx_wins_over_path(tmp_path: Path) -> None:
    a_program(tmp_path / "bin", "c++", "echo plain 1.0")
    own = a_program(tmp_path / "own", "special", "echo special 2.0")
    found = find_compiler({"PATH": f"{tmp_path / 'bin'}:/bin:/usr/bin", "CXX": str(own)})
    assert found is not None
    assert (found.path, found.version) == (own, "special 2.0")


def test_the_first_on_path_is_taken(tmp_path: Path) -> None:
    a_program(tmp_path / "bin", "clang++", "echo clang 17")
    gnu = a_program(tmp_path / "bin", "g++", "echo gnu 12")
    found = find_compiler({"PATH": str(tmp_path / "bin")})
    assert found is not None
    assert found.path == gnu


def test_a_bare_machine_has_none(tmp_path: Path) -> None:
    assert find_compiler({"PATH": str(tmp_path)}) is None
