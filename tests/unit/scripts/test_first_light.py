"""First light pulls only what is missing, asks a real question once, and leaves a mark of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import first_light
from scripts.terminal import Terminal
from tests.support.front_door import Gateway, door_to


def item(name: str, *, starter: bool, installed: bool) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": "",
        "task_type": "chat",
        "source": "pypi:x",
        "sha256": None,
        "size_bytes": 1,
        "download_bytes": 1,
        "max_context": 1,
        "parameters": "1",
        "quantisation": "Q4",
        "licence": "MIT",
        "licence_url": "",
        "tags": [],
        "starter": starter,
        "over_2gb": False,
        "installed": installed,
        "job_id": None,
    }


def row(name: str, size: int, task_type: str = "chat", *, enabled: bool = True) -> dict[str, Any]:
    return {
        "name": name,
        "engine": "llama.cpp",
        "path": f"{name}.gguf",
        "size_bytes": size,
        "sha256": "0",
        "task_type": task_type,
        "max_context": 1,
        "enabled": enabled,
        "last_used_at": None,
        "usage_count": 0,
        "compatibility": "ok",
        "tags": [],
        "meta_info": {},
        "created_at": "2026-11-21T00:00:00Z",
        "updated_at": "2026-11-21T00:00:00Z",
    }


def a_gateway() -> Gateway:
    gateway = Gateway()
    gateway.on(
        "GET",
        "/hermes/catalog",
        {"items": [item("smol", starter=True, installed=True), item("big", starter=False, installed=False)]},
    )
    models = [row("base", 1, "completion"), row("large", 900), row("smol", 98), row("off", 2, enabled=False)]
    gateway.on("GET", "/hermes/models", {"items": models, "next_cursor": None})
    gateway.on_stream("/v1/chat/completions", {"choices": [{"delta": {"content": "Paris."}}]}, "[DONE]")
    return gateway


def test_the_smallest_model_that_can_chat_is_asked_and_remembered(tmp_path: Path) -> None:
    gateway, marker, stream = a_gateway(), tmp_path / "first-light.json", io.StringIO()
    assert first_light.seen_model(marker) is None
    with door_to(gateway) as door:
        assert first_light.show(door, marker, Terminal(stream, live=False)) == "smol"
    assert "Paris." in stream.getvalue()
    assert first_light.QUESTION in stream.getvalue()
    assert first_light.seen_model(marker) == "smol"
    assert "/hermes/models/pull" not in {path for _, path, _ in gateway.asked}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_mark_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "mark").write_text(content)
    assert first_light.seen_model(tmp_path / "mark") is None
