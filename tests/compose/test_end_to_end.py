"""The conductor and the readiness check on the fleet in Docker: from the host, and inside a container."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.chats import SMALL
from tests.support.containers import needs_engine
from tests.support.docker_fleet import ROOT, DockerFleet, docker_fleet
from tests.support.eventually import eventually

pytestmark = [needs_engine, pytest.mark.timeout(1900)]
ANSWERED = 'vx11_service_answer_seconds_count{service="switch"}'
PHASES = ["open", "health", "flows", "close", "solo_madre"]


async def test_five_phases_figures_and_readiness(tmp_path: Path) -> None:
    async with docker_fleet(SMALL, VX11_POWER_WINDOWS_TIMEOUT_SEC="120", VX11_POWER_FIGURES_SEC="0.5") as fleet:
        script = await asyncio.create_subprocess_exec(
            *(sys.executable, "scripts/e2e_test_conductor_v1.py", "--url", fleet.url(8000)),
            *("--max-cpu", "101", "--out", str(tmp_path)),
            cwd=ROOT,
            env=fleet.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        words = (await script.communicate())[0].decode()
        assert script.returncode == 0, words
        (kept,) = tmp_path.glob("*_E2E_TEST_CONDUCTOR_v1/phases.json")
        phases = json.loads(kept.read_text())["phases"]
        assert [phase["phase"] for phase in phases] == PHASES
        assert phases[2]["services"]["switch"]["cpu_sec"] > 0
        await fleet.comes_to("switch", "ready", within_sec=120)  # the policy is `full` again
        text = await eventually(lambda: exposition(fleet), lambda told: ANSWERED in told, within_sec=30)
        for series in ("cpu_seconds_total", "memory_bytes", "written_bytes_total"):
            assert f'vx11_service_{series}{{service="switch"}}' in text
        check = ("exec", "-T", "tentaculo_link", "python", "scripts/vx11_production_readiness.py")
        assert "ready for production; the report: /data/audit/" in await fleet.compose(*check)


async def exposition(fleet: DockerFleet) -> str:
    return (await fleet.get("/metrics", 8001)).text
