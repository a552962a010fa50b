"""Command-line programs: found, onboarded, let to be asked, asked; engines chosen among them and the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.db_schema import AuditLog, CliProvider
from config.settings import HermesSettings
from tests.support.eventually import eventually
from tests.support.gguf import gguf_bytes
from tests.support.hermes import Hermes, hermes_in, token_of
from tests.support.programs import CLAUDE, CODEX, COPILOT, OLLAMA, put_program


async def tool(hermes: Hermes, name: str) -> dict[str, Any]:
    return (await hermes.client.get(f"/hermes/tools/{name}")).json()  # type: ignore[no-any-return]


async def surveyed(hermes: Hermes) -> None:
    async def items() -> list[Any]:
        return (await hermes.client.get("/hermes/tools")).json()["items"]  # type: ignore[no-any-return]

    await eventually(items, bool)


async def onboarded(hermes: Hermes, name: str) -> dict[str, Any]:
    await surveyed(hermes)
    answer = await hermes.client.post(f"/hermes/tools/{name}/onboard")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def enabled(hermes: Hermes, name: str) -> None:
    await onboarded(hermes, name)
    assert (await hermes.client.patch(f"/hermes/tools/{name}", json={"enabled": True})).status_code == 200


async def execute(hermes: Hermes, **body: Any) -> dict[str, Any]:
    answer = await hermes.client.post("/hermes/execute", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def steps(shown: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["outcome"] for step in shown["steps"]}


async def test_where_no_program_is_everything_is_absent_and_says_how_to_get_it(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        shown = await onboarded(hermes, "copilot")
        assert (shown["state"], shown["enabled"]) == ("absent", False)
        assert steps(shown) == {"found": "failed", "probed": "waiting", "authenticated": "waiting", "ready": "waiting"}
        assert "npm install" in shown["hint"]
        assert hermes.events("program.") == []


@pytest.mark.parametrize(
    ("name", "script", "state", "authentication", "version"),
    [
        ("copilot", COPILOT, "ready", "unknown", "0.0.354"),
        ("claude", CLAUDE, "ready", "yes", "2.0.1"),
        ("codex", CODEX, "probed", "no", "0.58.0"),
        ("ollama", OLLAMA, "ready", "yes", "0.12.6"),
        ("gemini", "exit 3", "found", "unknown", None),
        ("llm", "sleep 600", "found", "unknown", None),
    ],
)
async def test_how_far_a_program_gets(
    tmp_path: Path, name: str, script: str, state: str, authentication: str, version: str | None
) -> None:
    put_program(tmp_path / "bin", name, script)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        shown = await onboarded(hermes, name)
        assert (shown["state"], shown["authentication"], shown["version"]) == (state, authentication, version)
        assert bool(shown["hint"]) == (state != "ready")
        assert str(tmp_path) not in json.dumps(shown)
        with hermes.house.db.read() as session:
            row = session.get(CliProvider, name)
        assert row is not None
        assert row.path == str(tmp_path / "bin" / name)


async def test_a_program_lists_its_models_and_is_asked_with_one(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "ollama", OLLAMA)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await enabled(hermes, "ollama")
        assert (await tool(hermes, "ollama"))["models"] == ["llama3.2:1b", "qwen3:0.6b"]
        said = await execute(hermes, tool="ollama", arguments={"prompt": "¿qué? 🦙", "model": "qwen3:0.6b"})
        assert (said["status"], said["output"]) == ("done", "qwen3:0.6b heard: ¿qué? 🦙")
        without = await hermes.client.post("/hermes/execute", json={"tool": "ollama", "prompt": "x"})
        assert (without.status_code, without.json()["code"]) == (422, "invalid")


async def test_a_prompt_is_one_argument_whatever_it_holds_and_the_act_is_audited(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "copilot", COPILOT)
    prompt = "--allow-all; $(touch /tmp/x) `id` \"'\n{model}"
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await enabled(hermes, "copilot")
        said = await execute(hermes, tool="copilot", prompt=prompt)
        assert said["output"] == f"said:  {prompt}"
        assert (await tool(hermes, "copilot"))["usage_count"] == 1
        with hermes.house.db.read() as session:
            (entry,) = [row for row in session.query(AuditLog) if row.action == "tool.execute"]
        assert entry.target == "copilot"
        assert "allow-all" not in json.dumps(entry.detail)


async def test_only_an_enabled_and_ready_program_is_run(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "codex", CODEX)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await onboarded(hermes, "codex")
        off = await hermes.client.post("/hermes/execute", json={"tool": "codex", "prompt": "x"})
        assert (off.status_code, off.json()["code"]) == (409, "conflict")
        await enabled(hermes, "codex")
        unready = await hermes.client.post("/hermes/execute", json={"tool": "codex", "prompt": "x"})
        assert (unready.status_code, unready.json()["code"]) == (503, "unavailable")
        assert "codex login" in unready.json()["hint"]
        unknown = await hermes.client.post("/hermes/execute", json={"tool": "nothing", "prompt": "x"})
        assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("script", "body", "status"),
    [
        ("sleep 600", {"timeout_sec": 0.5}, "timeout"),
        ("yes", {}, "truncated"),
        ("echo no >&2; exit 4", {}, "failed"),
        ("printf '\\377\\376'", {}, "done"),
    ],
)
async def test_programs_that_misbehave_are_bounded(
    tmp_path: Path, script: str, body: dict[str, Any], status: str
) -> None:
    put_program(tmp_path / "bin", "aichat", f'case "$1" in --version) echo 1.0;; *) {script};; esac')
    settings = HermesSettings(free_space_mb=0, program_output_kb=16)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin"), hermes=settings) as hermes:
        await enabled(hermes, "aichat")
        said = await execute(hermes, tool="aichat", prompt="x", **body)
        assert said["status"] == status
        assert len(said["output"]) <= 16 << 10


async def test_the_same_key_runs_a_program_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    put_program(tmp_path / "bin", "copilot", f'case "$1" in version) echo 1.0;; *) echo x >> {count};; esac')
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await enabled(hermes, "copilot")
        for _ in range(2):
            body = {"tool": "copilot", "prompt": "x"}
            answer = await hermes.client.post("/hermes/execute", json=body, headers={"idempotency-key": "k"})
            assert answer.status_code == 200
        assert count.read_text() == "x\n"


async def test_own_programs_are_declared_in_a_file_that_may_change(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "mine", "echo 7.1; cat")
    file = tmp_path / "programs.json"
    declared = {"name": "mine", "title": "Mine", "argv": ["mine"], "probe": ["mine", "-v"], "needs_login": False}
    file.write_text(json.dumps({"programs": [declared]}))
    settings = HermesSettings(free_space_mb=0, programs_file=file)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin"), hermes=settings) as hermes:
        await enabled(hermes, "mine")
        assert (await tool(hermes, "mine"))["origin"] == "own"
        assert (await execute(hermes, tool="mine", prompt="hi"))["output"] == "7.1\nhi"
        available = (await hermes.client.get("/hermes/available")).json()
        assert [program["name"] for program in available["programs"]] == ["mine"]
        file.write_text(json.dumps({"programs": [{**declared, "argv": ["sh", "-c", "{evil}"]}]}))
        await eventually(lambda: _health(hermes), lambda seen: seen["status"] == "degraded")
        assert (await tool(hermes, "mine"))["state"] == "ready"
        file.write_text(json.dumps({"programs": []}))
        await eventually(lambda: _status(hermes, "mine"), lambda status: status == 404)


async def test_a_program_that_moved_is_looked_at_again_before_it_is_asked(tmp_path: Path) -> None:
    program = put_program(tmp_path / "bin", "copilot", COPILOT)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await enabled(hermes, "copilot")
    program.unlink()
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        await eventually(lambda: tool(hermes, "copilot"), lambda shown: shown["state"] == "absent")
        assert (await tool(hermes, "copilot"))["enabled"]


async def test_the_engine_for_a_task_is_explained(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "copilot", COPILOT)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        nothing = (await hermes.client.post("/hermes/get-engine", json={"task_type": "chat"})).json()
        assert nothing["engine"] is None
        assert nothing["said"]
        await enabled(hermes, "copilot")
        (hermes.models / "tiny.gguf").write_bytes(gguf_bytes())
        await hermes.client.post("/hermes/scan")
        chat = (await hermes.client.post("/hermes/get-engine", json={"task_type": "chat"})).json()
        assert {one["name"] for one in chat["candidates"]} == {"copilot", "tiny"}
        large = {"task_type": "chat", "context_tokens": 100_000, "kinds": ["local"]}
        none = (await hermes.client.post("/hermes/get-engine", json=large)).json()
        assert none["engine"] is None
        assert "its context is 512 tokens" in none["said"]
        code = (await hermes.client.post("/hermes/get-engine", json={"task_type": "code"})).json()
        assert (code["engine"], code["kind"]) == ("copilot", "program")
        bad = await hermes.client.post("/hermes/get-engine", json={"task_type": "juggling"})
        assert bad.status_code == 422


async def test_a_user_may_look_but_not_run(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        user = token_of(hermes, "ana", "user")
        for method, path, body in (
            ("POST", "/hermes/execute", {"tool": "copilot", "prompt": "x"}),
            ("PATCH", "/hermes/tools/copilot", {"enabled": True}),
            ("POST", "/hermes/tools/copilot/onboard", None),
        ):
            answer = await hermes.client.request(method, path, json=body, headers=user)
            assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
        assert (await hermes.client.get("/hermes/tools", headers=user)).status_code == 200


async def _health(hermes: Hermes) -> dict[str, Any]:
    return (await hermes.client.get("/health")).json()  # type: ignore[no-any-return]


async def _status(hermes: Hermes, name: str) -> int:
    return (await hermes.client.get(f"/hermes/tools/{name}")).status_code
