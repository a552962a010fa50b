"""The virtual environment: `.venv` at the root of the repository, and throw-away ones for builds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from scripts.setup.failure import SetupFailed

_TELLS_VERSION = "import sys, pip; print(*sys.version_info[:2], sep='.')"


def python_of(environment: Path) -> Path:
    """The interpreter inside `environment`."""
    return environment / "bin" / "python"


def is_usable(environment: Path) -> bool:
    """Whether `environment` has a working interpreter of this Python's version, and pip."""
    python = python_of(environment)
    if not python.exists():
        return False
    answer = subprocess.run([python, "-P", "-c", _TELLS_VERSION], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == f"{sys.version_info.major}.{sys.version_info.minor}"


def create(environment: Path) -> None:
    """Make `environment` anew, with pip; what stood there is replaced."""
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupFailed(
            f"This Python ({sys.executable}) cannot make virtual environments: its ensurepip module is missing.",
            remedy="Debian and Ubuntu keep it in a package of its own: apt install python3-venv",
        )
    answer = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(environment)], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise SetupFailed(
            f"The virtual environment {environment} could not be made.",
            tail=(answer.stdout + answer.stderr).splitlines(),
        )
