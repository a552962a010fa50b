"""A pull is followed to its end, and cancelled when the person leaves."""

from __future__ import annotations

import io
from typing import Any

import pytest

from config.contracts.models import ModelPull
from scripts.cli.failure import CommandFailed
from scripts.cli.pulling import pull
from scripts.terminal import Terminal
from tests.support.front_door import Gateway, door_to

ORDER = ModelPull(name="smol")


def job(state: str, **changes: Any) -> dict[str, Any]:
    return {
        "job_id": "j1",
        "name": "smol",
        "source": "pypi:x",
        "revision": None,
        "state": state,
        "phase": "downloading",
        "bytes_done": 0,
        "bytes_total": None,
        "rate_bytes_sec": None,
        "eta_sec": None,
        "requested_by": "admin",
        "correlation_id": "c",
        "created_at": "2026-11-21T00:00:00Z",
        "started_at": None,
        "finished_at": None,
        "error": None,
        **changes,
    }


def a_gateway(*states: dict[str, Any]) -> Gateway:
    gateway = Gateway()
    gateway.on("POST", "/hermes/models/pull", job("PENDING", phase="queued"), status=202)
    gateway.on("GET", "/hermes/jobs/j1", *states)
    gateway.on("POST", "/hermes/jobs/j1/cancel", job("CANCELLED"))
    return gateway


def test_bytes_and_rate_are_shown_until_it_is_done() -> None:
    stream = io.StringIO()
    gateway = a_gateway(
        job("RUNNING", bytes_done=50_000_000, bytes_total=98_000_000, rate_bytes_sec=12e6),
        job("DONE", bytes_done=98_000_000, bytes_total=98_000_000),
    )
    with door_to(gateway) as door:
        pull(door, ORDER, Terminal(stream, live=False), wait=lambda _: None)
    assert "50.0 MB of 98.0 MB, downloading, 12.0 MB/s" in stream.getvalue()
    assert stream.getvalue().splitlines()[-1].endswith("ok  98.0 MB")


def test_a_failed_job_says_why_and_what_to_do() -> None:
    error = {"code": "disk_full", "title": "Disk full", "detail": "2 GB are missing.", "hint": "Free some."}
    with door_to(a_gateway(job("ERROR", error=error))) as door, pytest.raises(CommandFailed) as failed:
        pull(door, ORDER, Terminal(io.StringIO(), live=False), wait=lambda _: None)
    assert "2 GB are missing" in failed.value.sentence
    assert failed.value.remedy == "Free some."


def test_ctrl_c_cancels_the_job() -> None:
    def leave(_seconds: float) -> None:
        raise KeyboardInterrupt

    gateway = a_gateway(job("RUNNING"))
    with door_to(gateway) as door, pytest.raises(KeyboardInterrupt):
        pull(door, ORDER, Terminal(io.StringIO(), live=False), wait=leave)
    assert gateway.asked[-1][:2] == ("POST", "/hermes/jobs/j1/cancel")
