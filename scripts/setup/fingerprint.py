"""What `.venv` was made from, layer by layer, so that only what changed is made again."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.quantities import MB
from scripts.setup.llama import recipe_digest

STAMP = "vx11-stamp.json"
RUNTIME = ("python", "packages", "llama")
TESTS = (*RUNTIME, "tests")
DISK_NEEDED = {"python": 30 * MB, "packages": 300 * MB, "llama": 900 * MB, "tests": 400 * MB}


def wanted(repository: Path, layers: tuple[str, ...]) -> dict[str, str]:
    """The fingerprint each of `layers` should have, in the order in which they are made."""
    makers = {
        "python": lambda: f"{sys.version_info.major}.{sys.version_info.minor} {repository}",
        "packages": lambda: _digest(repository / "requirements.lock"),
        "llama": lambda: recipe_digest(repository),
        "tests": lambda: _digest(repository / "requirements-test.lock"),
    }
    return {layer: makers[layer]() for layer in layers}


def read(environment: Path) -> dict[str, str]:
    """The fingerprints left in `environment`; empty where there are none that can be read."""
    try:
        stamp = json.loads((environment / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write(environment: Path, stamp: Mapping[str, str]) -> None:
    """Leave `stamp` in `environment`, whole or not at all."""
    fresh = environment / f"{STAMP}.new"
    fresh.write_text(json.dumps(stamp, indent=2) + "\n")
    fresh.replace(environment / STAMP)


def stale(stamp: Mapping[str, str], target: Mapping[str, str]) -> list[str]:
    """The layers of `target` that `stamp` does not match, in their order."""
    return [layer for layer, fingerprint in target.items() if stamp.get(layer) != fingerprint]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
