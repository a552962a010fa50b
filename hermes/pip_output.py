"""What pip says while it downloads, and what it means when it fails."""

from __future__ import annotations

import re

from config.errors import BadPeer, DiskFull, NotFound, Unavailable, VX11Error

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_UNREACHABLE = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "NewConnectionError", "timed out", "IncompleteRead")


def progress_in(line: str) -> tuple[int, int | None] | None:
    """Bytes done and in all of `--progress-bar raw`'s lines (0: not known); None for any other line."""
    match = _PROGRESS.fullmatch(line.strip())
    if match is None:
        return None
    total = int(match[2])
    return int(match[1]), total or None


def failure(requirement: str, errors: str) -> VX11Error:
    """The error that pip's last words stand for."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")] or lines[-1:]
    if "No space left on device" in errors or "Errno 28" in errors:
        return DiskFull(
            f"The disk filled up while {requirement} was being downloaded; what had arrived was removed.",
            hint="Free some space, then pull the model again.",
        )
    if any(word in errors for word in _UNREACHABLE):
        return Unavailable(
            f"The package index could not be reached for {requirement}.",
            hint="Pull it again later: parts that are here are not fetched again.",
        )
    if "No matching distribution" in errors:
        known = next((line for line in said if "from versions:" in line), said[-1])
        return NotFound(f"pip found no wheel of {requirement}: {known[:300]}")
    return BadPeer(f"pip could not download {requirement}: {said[-1][:300] if said else 'it said nothing'}")
