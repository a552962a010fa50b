"""What the warm-up's smoke test finds right, and what it does not let pass."""

from __future__ import annotations

import io
from typing import Any

import pytest

from scripts.cli.failure import CommandFailed
from scripts.terminal import Terminal
from scripts.warmup_smoke_test import check
from tests.support.front_door import Gateway, door_to

AT = "2026-11-21T00:00:00Z"


def status(overall: str, **changes: Any) -> dict[str, Any]:
    model = {"name": "m", "state": "ok", "load_sec": 0.5, "inference_sec": 0.2, "detail": None, **changes}
    return {"state": overall, "started_at": AT, "finished_at": AT, "models": [model]}


def registered(usage_count: int) -> dict[str, Any]:
    model = {
        "name": "m",
        "engine": "llama.cpp",
        "path": "m.gguf",
        "size_bytes": 1,
        "sha256": "0" * 64,
        "task_type": "chat",
        "max_context": 2048,
        "enabled": True,
        "last_used_at": AT if usage_count else None,
        "usage_count": usage_count,
        "compatibility": "ok",
        "tags": [],
        "meta_info": {},
        "created_at": AT,
        "updated_at": AT,
    }
    return {"items": [model], "next_cursor": None}


def served(stage: str, reserved_mb: int = 100) -> dict[str, Any]:
    model = {
        "name": "m",
        "stage": stage,
        "in_use": 0,
        "waiting": 0,
        "reserved_mb": reserved_mb,
        "memory_mb": 90.0,
        "pinned": False,
        "progress": None,
        "failure": None,
    }
    return {"budget_mb": 200, "reserved_mb": reserved_mb, "models": [model]}


def said(found: dict[str, Any], in_memory: dict[str, Any]) -> str:
    gateway = Gateway()
    gateway.on("GET", "/hermes/models", registered(0), registered(1))
    gateway.on("POST", "/switch/warmup", status("running", state="pending"), status=202)
    gateway.on("GET", "/switch/warmup/status", found)
    gateway.on("GET", "/switch/models", in_memory)
    stream = io.StringIO()
    with door_to(gateway) as door:
        check(door, Terminal(stream, live=False))
    return stream.getvalue()


def test_what_went_well_is_told() -> None:
    words = said(status("done"), served("ready"))
    assert "m: loaded in 0.50 s, answered in 0.20 s" in words
    assert "in memory: m; 100 of 200 MiB" in words
    assert "uses are counted" in words


@pytest.mark.parametrize(
    ("found", "in_memory", "complaint"),
    [
        (status("done", state="failed", detail="It has no head."), served("asleep", 0), "did not warm up"),
        (status("done", inference_sec=5.0), served("ready"), "not less than 5"),
        (status("done"), served("ready", 300), "300 MiB are reserved"),
        (status("done"), served("asleep", 0), "not in memory"),
    ],
)
def test_what_went_wrong_fails(found: dict[str, Any], in_memory: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CommandFailed, match=complaint):
        said(found, in_memory)
