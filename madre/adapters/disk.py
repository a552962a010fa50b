"""How much room the disk has."""

from __future__ import annotations

import shutil
from pathlib import Path

_STEP_MB = 256  # finer would be another figure at every look, and mean nothing


def free_mb(folder: Path) -> int:
    """MiB free on the file system of `folder`, in steps of 256."""
    return shutil.disk_usage(folder).free // 2**20 // _STEP_MB * _STEP_MB
