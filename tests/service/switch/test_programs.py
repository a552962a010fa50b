"""Command-line programs as providers: real small programs, run without a shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.db_schema import CliProvider, CliUsageStat, ModelUsageStat
from tests.service.switch.conftest import HI, Room

ECHO = "import sys; print('\\x1b[32mheard:', *sys.argv[1:], '|', sys.stdin.read(), '\\x1b[0m')"
NASTY = "`id`; $(touch x) && rm -rf / | 'quoted' \"twice\"\n--version"


def install(room: Room, name: str, code: str, *argv: str, **values: Any) -> None:
    """Put a program into hermes' table, ready to be asked."""
    script = room.stage / f"{name}.py"
    script.write_text(code)
    now = room.house.clock.now()
    members: dict[str, Any] = {
        "title": name,
        "origin": "declared",
        "argv": [name, str(script), *(argv or ("{model_options}", "{prompt}"))],
        "model_argv": ["--model", "{model}"],
        "probe": [],
        "environment": [],
        "task_types": ["chat"],
        "models": [],
        "path": sys.executable,
        "state": "ready",
        "authentication": "yes",
        "enabled": True,
        "created_at": now,
        "updated_at": now,
    }
    with room.house.db.write() as session:
        session.add(CliProvider(name=name, **{**members, **values}))


async def ask(room: Room, model: str, text: str = "hi", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return await room.client.post("/v1/chat/completions", json=body)


async def test_a_program_answers_as_openai_does(room: Room) -> None:
    install(room, "parrot", ECHO)
    answer = await ask(room, "parrot", NASTY)
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == f"heard: {NASTY} |"
    assert (body["object"], body["usage"], body["model"]) == ("chat.completion", None, "parrot")
    assert answer.headers["x-vx11-provider"] == "parrot"
    [use] = await room.kept(CliUsageStat)
    assert (use.provider, use.model, use.outcome) == ("parrot", None, "ok")
    assert use.answer_bytes == len(answer.content)
    assert room.rows(ModelUsageStat) == []


async def test_streamed_it_says_the_same(room: Room) -> None:
    install(room, "parrot", ECHO)
    answer = await ask(room, "parrot", stream=True)
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert chunks[0]["choices"][0]["delta"]["content"] == "heard: hi |"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_its_models_are_named_by_its_template(room: Room) -> None:
    install(room, "parrot", ECHO, models=["grey", "green"])
    answer = await ask(room, "green")
    assert answer.json()["choices"][0]["message"]["content"] == "heard: --model green hi |"
    assert (answer.headers["x-vx11-provider"], answer.headers["x-vx11-model"]) == ("parrot", "green")
    assert (await ask(room, "parrot")).status_code == 404


async def test_without_a_place_for_it_the_prompt_comes_on_stdin(room: Room) -> None:
    install(room, "parrot", ECHO, "--quiet")
    answer = await ask(room, "parrot", "--help")
    assert answer.json()["choices"][0]["message"]["content"] == "heard: --quiet | --help"


BAD = [
    ("import sys; sys.exit(3)", 502, "parrot ended with exit code 3."),
    ("", 502, "parrot said nothing."),
    ("print('x' * 5_000_000)", 502, "parrot said more than 4194304 bytes."),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 502, "parrot ended with exit code -9."),
]


@pytest.mark.parametrize(("code", "status", "detail"), BAD)
async def test_a_program_that_fails_is_told_and_says_nothing_of_its_own(
    room: Room, code: str, status: int, detail: str
) -> None:
    install(room, "parrot", f"import sys; print('secret path', file=sys.stderr); {code}")
    answer = await ask(room, "parrot")
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)
    assert "secret" not in answer.text


async def test_a_program_that_is_gone(room: Room) -> None:
    install(room, "parrot", ECHO, path=str(Path("/nowhere/parrot")))
    answer = await ask(room, "parrot")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_what_it_cannot_honour_is_refused_and_what_it_ignores_is_said(room: Room) -> None:
    install(room, "parrot", ECHO)
    refused = await ask(room, "parrot", tools=[{"type": "function"}], n=2)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert "tools, n" in refused.json()["detail"]
    answer = await ask(room, "parrot", temperature=0.5, seed=7)
    assert answer.headers["x-vx11-decision"] == "named by the caller; a program, it ignores temperature, seed"
    for text in ("\x00", "x" * 200_000):
        assert (await ask(room, "parrot", text)).status_code in (413, 422)
    assert (await ask(room, "parrot")).status_code == 200  # none of that was its fault


@pytest.mark.parametrize("change", [{"enabled": False}, {"state": "probed"}, {"path": None}])
async def test_only_ready_ones_are_asked(room: Room, change: dict[str, Any]) -> None:
    install(room, "parrot", ECHO, **change)
    assert (await ask(room, "parrot")).status_code == 404


async def test_it_takes_part_in_an_open_choice(room: Room) -> None:
    install(room, "parrot", ECHO)
    for name in "abc":
        room.change(name, enabled=False)
    answer = await room.client.post("/switch/chat", json={"messages": HI})
    body = answer.json()
    assert (body["reply"], body["provider"], body["tokens_used"]) == ("heard: hi |", "parrot", None)
