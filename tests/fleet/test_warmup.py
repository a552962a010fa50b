"""The warm-up's smoke test, on a real fleet with real models that do not fit together."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from config.db_schema import EventRow
from tests.support.chats import OTHER, SMALL, chatting_fleet, rows
from tests.support.tree import ROOT


@pytest.mark.timeout(240)
async def test_models_take_turns_answer_in_time_and_are_counted(tmp_path: Path) -> None:
    settings = {"VX11_MODEL_MEMORY_MB": "520", "VX11_SWITCH_CONTEXT_TOKENS": "512"}  # room for either, not for both
    async with chatting_fleet(tmp_path, SMALL, OTHER, **settings) as door:
        script = await asyncio.create_subprocess_exec(
            sys.executable,
            "scripts/warmup_smoke_test.py",
            "--url",
            door.fleet.url(8000),
            cwd=ROOT,
            env=door.fleet.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        words = (await script.communicate())[0].decode()
        assert script.returncode == 0, words
        assert "2 models are warm, and their uses are counted." in words
        left = [event.data for event in rows(door.fleet, EventRow, type="model.unloaded")]
        assert left == [{"model": OTHER, "why": "memory needed"}]
