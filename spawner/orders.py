"""What exactly is to be run and what it may take, read from what somebody asked for. Pure."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.contracts.spawning import Limits as AskedLimits
from config.contracts.spawning import TaskType, Work
from config.errors import Invalid
from config.settings import SpawnerSettings
from spawner.cage import Limits, argv_of

GROWING: Final = ("memory_mb", "processes", "output_kb", "disk_mb")  # what a job may ask for more of, and a retry get
_PYTHON: Final[TaskType] = "python"
_SHELL: Final[TaskType] = "shell"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool of the fleet and what it is given."""

    tool: str
    arguments: dict[str, Any]


def program_of(work: Work) -> tuple[TaskType, str]:
    """The type and text of what is to be run; Invalid or TooLarge for what could never be."""
    if isinstance(work.cmd, list):
        task_type, code = _SHELL, shlex.join(work.cmd)
    elif work.cmd is not None:
        task_type, code = _SHELL, work.cmd
    else:
        task_type, code = work.task_type or _PYTHON, work.code or ""
    if task_type == "tool":
        tool_call(code)
    else:
        argv_of(task_type, code)
    return task_type, code


def tool_call(code: str) -> ToolCall:
    """What a tool's `code` says; Invalid for anything but `{"tool": "…", "arguments": {…}}`."""
    try:
        said = json.loads(code)
        tool, arguments = said["tool"], said.get("arguments", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        tool, arguments = None, None
    if not isinstance(tool, str) or not isinstance(arguments, dict):
        raise Invalid('The code of a tool is JSON: {"tool": "…", "arguments": {…}}.')
    return ToolCall(tool, arguments)


def limits_of(
    asked: AskedLimits, ttl_seconds: int, settings: SpawnerSettings, together_mb: float = math.inf
) -> dict[str, float]:
    """All limits of an attempt, by name, as a row keeps them; Invalid for more than may be asked for.

    Times that nobody named are the job's whole TTL: that ends the job anyway, and says so.
    """
    defaults = {
        "cpu_sec": float(ttl_seconds),
        "wall_sec": float(ttl_seconds),
        "memory_mb": settings.memory_mb,
        "processes": settings.processes,
        "files": settings.files,
        "file_mb": settings.file_mb,
        "disk_mb": settings.disk_mb,
        "output_kb": settings.output_kb,
    }
    wanted = {name: value for name, value in asked.model_dump().items() if value is not None}
    most = most_of(ttl_seconds, settings, together_mb)
    over = [name for name, value in wanted.items() if value > most[name]]
    if over:
        raise Invalid(
            "A job may not ask for that much.",
            errors=[{"field": f"limits.{name}", "message": f"at most {most[name]:g}"} for name in over],
        )
    return {**defaults, **wanted}


def most_of(ttl_seconds: int, settings: SpawnerSettings, together_mb: float = math.inf) -> dict[str, float]:
    """The most that a job may ask for, and its retries be given, by name; no job gets more memory than `together_mb`,
    which is what all daughters have."""
    grown = {name: settings.most * getattr(settings, name) for name in GROWING}
    grown["memory_mb"] = min(grown["memory_mb"], together_mb)
    return {"cpu_sec": float(ttl_seconds), "wall_sec": float(ttl_seconds), **grown}


def disk_mb_of(limits: Mapping[str, float], *, copies: bool) -> float:
    """What an attempt may leave on the disk at most, MiB; one that works on a copy of a folder has that beside it."""
    return limits["disk_mb"] * (2 if copies else 1) + limits["output_kb"] / 1024


def limits_for_cage(limits: Mapping[str, float], seconds_left: float) -> Limits:
    """The limits of a row in the cage's words; no attempt outlasts the job's TTL, of which `seconds_left`."""
    return Limits(
        cpu_sec=limits["cpu_sec"],
        wall_sec=max(0.001, min(limits["wall_sec"], seconds_left)),
        memory_mb=int(limits["memory_mb"]),
        processes=int(limits["processes"]),
        files=int(limits["files"]),
        file_mb=int(limits["file_mb"]),
        disk_mb=int(limits["disk_mb"]),
        output_bytes=int(limits["output_kb"]) * 1024,
    )
