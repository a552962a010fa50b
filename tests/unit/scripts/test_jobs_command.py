"""What `./vx11 jobs` asks of spawner, and how it words what it gets."""

from __future__ import annotations

import io
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.contracts.spawning import JobDetail
from scripts.cli import jobs
from scripts.cli.failure import CommandFailed
from tests.support.front_door import Gateway, door_to

MOMENT = "2026-11-21T12:00:00Z"
JOB: dict[str, Any] = {
    "spawn_id": "spawn-0123abcd", "spawn_uuid": "u", "name": "sum", "user": "ana", "task_type": "python",
    "intent": "", "status": "DONE", "phase": "ended", "parent_task_id": None, "root_task_id": "spawn-0123abcd",
    "depth": 0, "tries": 2, "max_retries": 2, "auto_retry": True, "ttl_seconds": 300, "dry_run": True,
    "network": False, "workspace": None, "isolation": "sandlock", "progress": 1, "correlation_id": "c",
    "created_at": MOMENT, "expires_at": MOMENT, "not_before": None, "started_at": MOMENT, "finished_at": MOMENT,
    "exit_code": 0, "error": None, "code": "x", "metadata": {}, "tool_allowlist": [], "daughters": [],
    "ancestors": [], "subtasks": [], "children": [], "result": None, "output_tail": "",
    "changed_files": [{"path": "a.txt", "change": "added"}],
}  # fmt: skip
ATTEMPT: dict[str, Any] = {
    "attempt_id": "a", "daughter_id": "d", "number": 1, "status": "timeout", "mutation": None, "isolation": "sandlock",
    "limits": {}, "pid": 7, "started_at": MOMENT, "heartbeat_at": MOMENT, "finished_at": MOMENT, "kind": "timeout",
    "exit_code": None, "signal": None, "cpu_sec": 1, "wall_sec": 5.0, "max_rss_mb": 9, "output_bytes": 0,
    "output_truncated": False, "changed_files": None, "detail": None,
}  # fmt: skip
LONGER = {"kind": "longer_limit", "because": "timeout", "changes": {"wall_sec": [5, 10]}}
SECOND = {**ATTEMPT, "number": 2, "status": "success", "kind": "exited", "exit_code": 0, "mutation": LONGER}


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    jobs.arguments(parser)
    return parser.parse_args(words)


def test_code_is_python_unless_it_is_said_to_be_the_shells(tmp_path: Path) -> None:
    order = jobs.order_of(parsed("run", "print(1)", "--ttl", "60", "--memory", "64"), tmp_path)
    assert (order.task_type, order.code, order.ttl_seconds, order.limits.memory_mb) == ("python", "print(1)", 60, 64)
    shell = jobs.order_of(parsed("run", "ls", "--shell", "--dry-run", "--workspace", "w", "--retries", "3"), tmp_path)
    assert (shell.task_type, shell.dry_run, shell.workspace, shell.max_retries) == ("shell", True, "w", 3)


def test_a_file_is_looked_for_where_the_command_was_typed(tmp_path: Path) -> None:
    (tmp_path / "sum.py").write_text("print(2)")
    order = jobs.order_of(parsed("run", "-f", "sum.py"), tmp_path)
    assert (order.name, order.code) == ("sum.py", "print(2)")
    with pytest.raises(CommandFailed, match="cannot be read"):
        jobs.order_of(parsed("run", "-f", "none.py"), tmp_path)


def test_a_job_is_told_with_its_tries_and_what_each_did_otherwise() -> None:
    job = JobDetail.model_validate({**JOB, "attempts": [ATTEMPT, SECOND]})
    assert jobs.in_detail(job) == [
        "spawn-0123abcd  DONE               python  2 tries  sandlock  sum",
        "  try 1: timeout (timeout, 5.0 s)",
        "  try 2: success (exited, exit code 0, 5.0 s)",
        "    longer_limit: wall_sec 5 → 10",
        "  added: a.txt",
    ]


def test_what_a_job_says_is_followed_to_its_end() -> None:
    said = {"spawn_id": "s", "attempt": 1, "attempt_id": "a", "job_status": "RUNNING", "offset": 0, "omitted_bytes": 0}
    pieces = [{**said, "text": text, "next_offset": 1, "total_bytes": 2, "ended": False} for text in ("a", "b")]
    frames = [f"id: 1-1\nevent: output\ndata: {json.dumps(piece)}\n\n" for piece in pieces]
    stream = io.StringIO("".join([": connected\n\n", *frames, "event: ended\ndata: {}\n\n"]))
    gateway = Gateway()
    gateway.on("GET", "/spawner/jobs/s/output", lambda _: httpx.Response(200, text=stream.read()))
    with door_to(gateway) as door:
        assert [piece.text for piece in door.said_by("s")] == ["a", "b"]


@pytest.mark.parametrize("code", ["", " \n\t", "-f empty.py"])
def test_nothing_to_run_is_said_and_not_sent(tmp_path: Path, code: str) -> None:
    (tmp_path / "empty.py").write_text("\n")
    words = code.split() if code.startswith("-f") else [code]
    with pytest.raises(CommandFailed, match="nothing to run"):
        jobs.order_of(parsed("run", *words), tmp_path)


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandFailed, match="is not text"):
        jobs.order_of(parsed("run", "-f", "binary"), tmp_path)


def test_a_task_may_begin_with_an_empty_line(tmp_path: Path) -> None:
    order = jobs.order_of(parsed("run", "\nprint(1)"), tmp_path)
    assert (order.name, order.code) == ("print(1)", "\nprint(1)")


def test_names_of_files_give_the_terminal_no_orders_and_a_long_list_says_how_long() -> None:
    odd = {"path": "a\x1b[2J\n", "change": "added"}
    shown = jobs.in_detail(JobDetail.model_validate({**JOB, "changed_files": [odd], "changed_more": 7, "attempts": []}))
    assert shown[1:] == [r"  added: a\x1b[2J\n", "  and 7 more"]
