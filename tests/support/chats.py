"""A real fleet with real models on its shelf, chats with it through the door, and what it wrote down of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db import Database
from config.db_schema import Base
from tests.support import databases
from tests.support.eventually import eventually
from tests.support.fleet import Fleet, fleet_in
from tests.support.worker import model_file

SMALL, OTHER = "smollm2-135m-instruct", "gemma-3-270m"
FILES = {SMALL: "SmolLM2-135M*.gguf", OTHER: "gemma-3-270m*.gguf"}
_ROOMY = {"VX11_GATEWAY_RATE_PER_SEC": "10000", "VX11_GATEWAY_RATE_BURST": "10000"}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Streamed:
    """What came of one streamed chat. `events` are its JSON bodies, `whole` says that the end mark came."""

    status: int
    events: list[dict[str, Any]] = field(default_factory=list)
    whole: bool = False

    @property
    def text(self) -> str:
        """What the model said."""
        choices = [choice for event in self.events for choice in event.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def error(self) -> dict[str, Any] | None:
        """The error that ended the stream, as OpenAI's clients read it."""
        return next((event["error"] for event in self.events if "error" in event), None)


class Talk:
    """A fleet's one door at `url`, as a client uses it."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any call."""
        return await self._http.request(method, self._url + path, timeout=100, **options)

    async def chat(self, text: str, *, model: str = SMALL, **members: Any) -> dict[str, Any]:
        """The body of a chat answer, greedy unless told otherwise; it must be a success."""
        answer = await self.call("POST", "/v1/chat/completions", json=chat_body(text, model, members))
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def said(self, text: str, **members: Any) -> str:
        """The text of such an answer."""
        return str((await self.chat(text, **members))["choices"][0]["message"]["content"])

    @asynccontextmanager
    async def streaming(
        self, text: str, *, model: str = SMALL, headers: dict[str, str] | None = None, **members: Any
    ) -> AsyncIterator[httpx.Response]:
        """A streamed chat whose head has come; leaving the block hangs up."""
        body = chat_body(text, model, {"stream": True, **members})
        url = self._url + "/v1/chat/completions"
        async with self._http.stream("POST", url, json=body, headers=headers, timeout=100) as answer:
            yield answer

    async def stream(self, text: str, **members: Any) -> Streamed:
        """A streamed chat to its end, whatever that is; a broken connection raises."""
        async with self.streaming(text, **members) as answer:
            seen = Streamed(answer.status_code)
            async for line in answer.aiter_lines():
                if seen.status == 200:
                    take_in(seen, line)
        return seen

    async def model(self, name: str = SMALL) -> dict[str, Any]:
        """A model as Switch shows it."""
        models = (await self.call("GET", "/switch/models")).json()["models"]
        return next(one for one in models if one["name"] == name)


class Door(Talk):
    """The door of a fleet of processes."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.http, fleet.url(8000))
        self.fleet = fleet


def take_in(seen: Streamed, line: str) -> None:
    """Add one line of an event stream to what was seen of it."""
    if line == "data: [DONE]":
        seen.whole = True
    elif line.startswith("data: "):
        seen.events.append(json.loads(line.removeprefix("data: ")))


def chat_body(text: str, model: str, members: dict[str, Any]) -> dict[str, Any]:
    """A request of one message: greedy and short unless `members` say otherwise."""
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 24, **members}


@asynccontextmanager
async def chatting_fleet(folder: Path, *models: str, **environment: str) -> AsyncIterator[Door]:
    """A fleet that has registered these models; skipped, said so, where they were never pulled."""
    shelf = folder / "models"
    shelf.mkdir()
    for name in models:
        _link(model_file(FILES[name]).resolve(), shelf / f"{name}.gguf")
    async with fleet_in(folder, **_ROOMY, **environment) as fleet:
        scanned = await fleet.http.post(fleet.url(8000) + "/hermes/scan", timeout=60)
        assert {found["name"] for found in scanned.json()["registered"]} == set(models), scanned.text
        yield Door(fleet)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


@contextmanager
def books(fleet: Fleet) -> Iterator[Session]:
    """The fleet's database, to read."""
    database = Database(databases.url_in(fleet.folder))
    try:
        with database.read() as session:
            yield session
    finally:
        database.close()


def rows(fleet: Fleet, table: type[Base], **like: Any) -> list[Any]:
    """The rows of a table whose columns have these values."""
    with books(fleet) as session:
        return list(session.scalars(select(table).filter_by(**like)))


async def kept(fleet: Fleet, table: type[Base], **like: Any) -> list[Any]:
    """The same, once there are any: Switch writes the rows of finished requests behind."""

    async def look() -> list[Any]:
        return rows(fleet, table, **like)

    return await eventually(look, bool)


def workers(fleet: Fleet) -> list[int]:
    """The worker processes that Switch has."""
    switch = fleet.pid_of("switch")
    return [int(child) for child in Path(f"/proc/{switch}/task/{switch}/children").read_text().split()]


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time that a process has had (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
