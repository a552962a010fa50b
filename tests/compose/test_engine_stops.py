"""An engine that stops and starts again under a fleet: `engine_stops.py`, run where it can do no harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.containers import needs_engine
from tests.support.fleet import ROOT

INSIDE = Path(__file__).with_name("engine_stops.py")

# Under CI it must be possible: that it is not is a failure, not a reason to skip.
needs_private_engine = pytest.mark.skipif(
    "CI" not in os.environ and (os.geteuid() != 0 or shutil.which("dockerd") is None),
    reason="an engine of its own needs dockerd and root",
)
pytestmark = [needs_engine, needs_private_engine, pytest.mark.timeout(700)]


def test_windows_outlive_an_engine_that_stops() -> None:
    script = 'ip link set lo up && exec "$0" -m pytest -q -x -p no:cacheprovider "$1"'
    argv = ["unshare", "--net", "sh", "-c", script, sys.executable, str(INSIDE)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "2 passed" in done.stdout or ".." in done.stdout, done.stdout
