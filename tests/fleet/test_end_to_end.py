"""The conductor and the readiness check on a real fleet with a real model, as scripts: exit code, evidence, report."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from config.services import CORE, FLEET
from tests.support.chats import SMALL, chatting_fleet
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.tree import ROOT


async def played(fleet: Fleet, *argv: str) -> tuple[int | None, str]:
    """Run a script of this repository beside the fleet; its exit code and what it said."""
    script = await asyncio.create_subprocess_exec(
        sys.executable, *argv, cwd=ROOT, env=fleet.environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await script.communicate()
    return script.returncode, said.decode()


@pytest.mark.timeout(240)
async def test_five_phases_pass_and_leave_evidence_and_a_fleet_as_it_was(tmp_path: Path) -> None:
    async with chatting_fleet(tmp_path, SMALL, VX11_POWER_POLICY="full") as door:
        fleet, out = door.fleet, tmp_path / "audit"
        argv = ("scripts/e2e_test_conductor_v1.py", "--max-cpu", "101", "--out", str(out))
        code, words = await played(fleet, *argv)
        assert code == 0, words
        (folder,) = out.iterdir()
        assert folder.name.endswith("_E2E_TEST_CONDUCTOR_v1")
        kept = json.loads((folder / "phases.json").read_text())
        assert [phase["phase"] for phase in kept["phases"]] == ["open", "health", "flows", "close", "solo_madre"]
        assert all(phase["passed"] and phase["machine"]["memory_used_mb_max"] > 0 for phase in kept["phases"])
        flows = kept["phases"][2]
        assert flows["services"]["switch"]["cpu_sec"] > 0
        (first,) = (note for note in flows["notes"] if note["what"] == "chat, turn 1")
        assert (first["model"], first["tokens"] > 0) == (SMALL, True)
        states = next(note for note in kept["phases"][4]["notes"] if note["what"] == "states")
        assert (states["switch"], states["hermes"], states["madre"]) == ("asleep", "asleep", "ready")
        assert (await fleet.power("state"))["policy"] == "full", "as it was before"


@pytest.mark.timeout(240)
async def test_the_status_and_prometheus_tell_what_a_chat_took(tmp_path: Path) -> None:
    async with chatting_fleet(tmp_path, SMALL, VX11_POWER_FIGURES_SEC="0.2") as door:
        await door.said("Hello!")

        async def figures() -> dict[str, Any]:
            services = (await door.call("GET", "/vx11/status")).json()["services"]
            return {one["name"]: one["figures"] for one in services}

        def is_known(found: dict[str, Any]) -> bool:
            return all(found[name]["traffic"] and found[name]["usage"] for name in (*CORE, "switch", "hermes"))

        known = await eventually(figures, is_known, within_sec=20)
        assert known["shub"] == {"usage": None, "traffic": None}
        switch = known["switch"]["usage"]
        assert switch["memory_mb"] > FLEET["switch"].memory_mb, "its worker holds the model"
        assert switch["cpu_sec"] > known["hermes"]["usage"]["cpu_sec"]
        assert switch["memory_limit_mb"] > known["hermes"]["usage"]["memory_limit_mb"]
        before = known["switch"]["traffic"]["requests"]
        await door.said("Hello again!")
        told = await eventually(figures, lambda found: found["switch"]["traffic"]["requests"] > before, within_sec=20)
        assert told["switch"]["traffic"]["p99_ms"] > 0
        exposition = (await door.fleet.get("/metrics", port=8001)).text
        for series in (
            "cpu_seconds_total",
            "memory_bytes",
            "read_bytes_total",
            "written_bytes_total",
            "restarts_total",
        ):
            assert f'vx11_service_{series}{{service="switch"}}' in exposition
        assert 'vx11_service_answer_seconds_bucket{le="+Inf",service="switch"}' in exposition


@pytest.mark.timeout(240)
async def test_readiness_is_an_exit_code_and_a_report(tmp_path: Path) -> None:
    async with chatting_fleet(tmp_path, SMALL) as door:
        fleet, page = door.fleet, tmp_path / "page.md"
        argv = ("scripts/vx11_production_readiness.py", "--report", str(page))
        code, words = await played(fleet, *argv)
        assert code == 0, words
        assert "**ready for production**" in page.read_text()
        for service in ("tentaculo_link", "madre", "switch", "hermes"):
            assert f"| {service} | ok | healthy on port" in page.read_text()
        await fleet.comes_to("switch", "asleep")
        (tmp_path / "models" / f"{SMALL}.gguf").unlink()
        code, words = await played(fleet, *argv)
        assert code == 1, words
        assert f"Its file {SMALL}.gguf is gone." in page.read_text()
    code, words = await played(fleet, *argv, "--no-wake")
    assert code == 1, words
    assert "The fleet is not running." in page.read_text()
