"""`./vx11` itself: a clear sentence where Python is missing or old, from wherever it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.surroundings import REPOSITORY

LAUNCHER = REPOSITORY / "vx11"
OLD_PYTHON = """#!/bin/sh
case "$1" in
    -V) echo "Python 3.9.2" ;;
    *) exit 1 ;;
esac
"""


def a_bare_machine(folder: Path, *, python: str | None) -> dict[str, str]:
    """A PATH that holds what the launcher's shell needs, and a python3 of the test's making."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "readlink"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    if python:
        (programs / "python3").write_text(python)
        (programs / "python3").chmod(0o755)
    return {"PATH": str(programs)}


def a_clone(folder: Path) -> Path:
    """The launcher alone, in a folder that was never set up."""
    return Path(shutil.copy(LAUNCHER, folder / "vx11"))


def call(
    launcher: Path, *words: str, cwd: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if variables is None else variables
    return subprocess.run([launcher, *words], capture_output=True, text=True, cwd=cwd, env=environment, check=False)


@pytest.mark.parametrize(
    ("python", "words"),
    [(OLD_PYTHON, "the python3 of this machine is Python 3.9.2"), (None, "this machine has no python3")],
)
def test_an_old_or_missing_python_gets_a_sentence(tmp_path: Path, python: str | None, words: str) -> None:
    answer = call(a_clone(tmp_path), "up", cwd=tmp_path, variables=a_bare_machine(tmp_path, python=python))
    assert answer.returncode == 1
    assert "VX11 needs Python 3.11 or newer" in answer.stderr
    assert words in answer.stderr
    assert "apt install" in answer.stderr
    assert answer.stdout == ""


def test_it_can_be_called_from_anywhere_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "vx11"
    link.symlink_to(LAUNCHER)
    answer = call(link, "help", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "usage: ./vx11 COMMAND" in answer.stdout


def test_a_folder_of_the_callers_does_not_stand_in_for_ours(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "__init__.py").write_text("raise SystemExit('the wrong scripts')")
    (tmp_path / "config.py").write_text("raise SystemExit('the wrong config')")
    assert call(LAUNCHER, "help", cwd=tmp_path).returncode == 0


def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer = call(LAUNCHER, "dance", cwd=tmp_path)
    assert answer.returncode == 2
    assert "There is no command 'dance'" in answer.stderr


def an_unprepared_clone(folder: Path) -> Path:
    """The launcher with all that runs before set-up, in a folder that was never set up."""
    clone = folder / "clone"
    shutil.copytree(REPOSITORY / "scripts", clone / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("vx11", *(lock.name for lock in REPOSITORY.glob("requirements*.lock"))):
        shutil.copy(REPOSITORY / name, clone / name)
    return clone / "vx11"


def test_before_set_up_it_says_how_to_start(tmp_path: Path) -> None:
    launcher = an_unprepared_clone(tmp_path)
    status = call(launcher, "status", cwd=tmp_path)
    assert status.returncode == 1
    assert "./vx11 up" in status.stderr
    doctor = call(launcher, "doctor", cwd=tmp_path)
    assert "This machine" in doctor.stdout
    assert "This fleet" not in doctor.stdout


def test_without_a_compiler_it_says_so_before_it_installs_anything(tmp_path: Path) -> None:
    launcher = an_unprepared_clone(tmp_path)
    variables = a_bare_machine(tmp_path, python=f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    up = call(launcher, "up", cwd=tmp_path, variables={**variables, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert up.returncode == 1
    assert "apt install g++" in up.stderr
    assert not (launcher.parent / ".venv").exists()
