"""Tasks of type `tool`: another service does it, on behalf of whoever asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt

from config.errors import OffByPolicy, Unavailable, VX11Error
from tests.support.spawner import spawner_in

CHAT = json.dumps({"tool": "switch.chat", "arguments": {"prompt": "hello"}})
PROGRAM = json.dumps({"tool": "hermes.execute", "arguments": {"tool": "claude", "prompt": "hello"}})
TOOLS = ["switch.chat", "hermes.execute"]


def problem(error: VX11Error) -> httpx.Response:
    body = {"type": "about:blank", "title": error.title, "status": error.status, "code": error.code}
    return httpx.Response(error.status, json={**body, "detail": error.detail})


@dataclass
class Peers:
    """Madre, switch and hermes as far as tools need them; providers named in `broken` fail."""

    broken: tuple[str, ...] = ()
    wakes: bool = True
    reply: str = "good day"
    until: asyncio.Event | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    callers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/ready":
            raise httpx.ConnectError("asleep", request=request)
        body = json.loads(request.content)
        self.asked.append((path, body))
        token = request.headers["x-vx11-token"]
        self.callers[path] = jwt.decode(token, options={"verify_signature": False})
        answer: httpx.Response = self.answers[path](body)
        return answer

    async def slowly(self, request: httpx.Request) -> httpx.Response:
        """The same, but a chat answers when it is let."""
        if request.url.path == "/switch/chat" and self.until is not None:
            await self.until.wait()
        return self(request)

    @property
    def answers(self) -> dict[str, Any]:
        return {
            "/madre/power/wake": self._wake,
            "/switch/hermes/select_engine": self._select,
            "/switch/chat": self._chat,
            "/hermes/execute": self._execute,
        }

    def _wake(self, body: dict[str, Any]) -> httpx.Response:
        if not self.wakes:
            return problem(OffByPolicy("switch sleeps by policy."))
        return httpx.Response(200, json={"service": body["service"], "state": "ready", "lease_sec": 60})

    def _select(self, body: dict[str, Any]) -> httpx.Response:
        healthy = ["local/tiny", "far/large"]
        chosen = {"engine": healthy[0], "profile": "balanced", "healthy_engines": healthy, "scores": []}
        return httpx.Response(200, json=chosen)

    def _chat(self, body: dict[str, Any]) -> httpx.Response:
        if body["provider"] in self.broken:
            return problem(Unavailable(f"{body['provider']} is down."))
        answer = {"reply": self.reply, "provider": body["provider"], "model": body["model"], "decision": "asked for"}
        numbers = {"latency_ms": 5, "ttft_ms": 1, "tokens_used": 9, "finish_reason": "stop"}
        return httpx.Response(200, json={**answer, **numbers})

    def _execute(self, body: dict[str, Any]) -> httpx.Response:
        ran = {"tool": body["tool"], "status": "failed", "code": 3, "output": "out", "errors": "err", "seconds": 1}
        return httpx.Response(200, json=ran)


async def test_a_chat_is_asked_of_switch_with_its_callers_rights(tmp_path: Path) -> None:
    peers = Peers()
    async with spawner_in(tmp_path, peers=peers) as spawner:
        job = await spawner.ended(
            await spawner.spawn(CHAT, spawner.token_of("ana"), task_type="tool", tool_allowlist=TOOLS)
        )
        assert (job["status"], job["isolation"], job["output_tail"]) == ("DONE", "peer", "good day")
        assert (job["result"]["reply"], job["result"]["model"]) == ("good day", "tiny")
        assert [path for path, _ in peers.asked] == [
            "/madre/power/wake",
            "/switch/hermes/select_engine",
            "/switch/chat",
        ]
        assert {key: peers.callers["/switch/chat"][key] for key in ("iss", "sub", "role")} == {
            "iss": "spawner",
            "sub": "ana",
            "role": "user",
        }
        assert peers.callers["/madre/power/wake"]["role"] == "system"
        assert peers.asked[-1][1]["messages"] == [{"role": "user", "content": "hello"}]
        assert spawner.cage.seen == []


async def test_a_retry_asks_another_provider_and_says_so(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, peers=Peers(broken=("local",))) as spawner:
        job = await spawner.ran(CHAT, task_type="tool", tool_allowlist=TOOLS)
        assert (job["status"], job["result"]["provider"], job["tries"]) == ("DONE", "far", 2)
        mutation = job["attempts"][1]["mutation"]
        assert (mutation["kind"], mutation["changes"]) == ("other_provider", {"avoid": [[], ["local"]]})
        assert "local is down" in mutation["because"]
        assert [daughter["status"] for daughter in job["daughters"]] == ["mutated", "finished"]


async def test_a_program_that_fails_is_a_job_that_fails(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, peers=Peers()) as spawner:
        job = await spawner.ran(PROGRAM, task_type="tool", tool_allowlist=TOOLS, max_retries=0)
        assert (job["status"], job["exit_code"], job["output_tail"]) == ("ERROR", 3, "outerr")


async def test_a_service_that_may_not_be_woken_is_said(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, peers=Peers(wakes=False)) as spawner:
        job = await spawner.ran(CHAT, task_type="tool", tool_allowlist=TOOLS, max_retries=0)
        assert (job["status"], job["error"]) == ("ERROR", "off_by_policy: switch sleeps by policy.")


async def test_only_tools_that_the_job_names_are_used(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, peers=Peers()) as spawner:
        order = {"code": CHAT, "task_type": "tool", "tool_allowlist": ["hermes.execute"]}
        refused = await spawner.post("spawn", order)
        assert (refused.status_code, "tool_allowlist" in refused.json()["detail"]) == (422, True)
        empty = {"code": '{"tool": "hermes.execute"}', "task_type": "tool", "tool_allowlist": TOOLS}
        assert (await spawner.post("spawn", empty)).json()["errors"][0]["field"] == "tool"


async def test_a_tool_that_takes_longer_than_was_asked_for_is_given_up(tmp_path: Path) -> None:
    peers = Peers(until=asyncio.Event())
    async with spawner_in(tmp_path, peers=peers.slowly) as spawner:
        order = {"task_type": "tool", "tool_allowlist": TOOLS, "max_retries": 1, "limits": {"wall_sec": 0.05}}
        job = await spawner.ran(CHAT, **order)
        assert (job["status"], [one["kind"] for one in job["attempts"]]) == ("ERROR", ["timeout", "timeout"])
        assert job["attempts"][1]["mutation"]["changes"] == {"wall_sec": [0.05, 0.1]}
        assert job["error"] == "It had not answered after 0.1 s."


async def test_what_a_tool_answers_can_be_shown_whatever_it_is(tmp_path: Path) -> None:
    peers = Peers(reply="a null: \x00")
    async with spawner_in(tmp_path, peers=peers) as spawner:
        job = await spawner.ran(CHAT, task_type="tool", tool_allowlist=TOOLS)
        assert (job["status"], job["result"]["reply"]) == ("DONE", "a null: \\x00")
