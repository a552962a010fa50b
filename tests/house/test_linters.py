"""The tools that watch the house: style, types, and who may import whom."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scripts.surroundings import REPOSITORY, here

LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-m", "mypy", "."],
        ["-c", LINT_IMPORTS],
    ],
    ids=["ruff", "format", "mypy", "imports"],
)
def test_it_has_nothing_to_say(command: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-P", *command],
        cwd=REPOSITORY,
        env=here().child_variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
