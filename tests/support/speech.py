"""Madre as people speak to her: a Switch that answers as scripted, a runner that brings plans to their end at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller, Role
from config.contracts.plans import Fault, Status
from config.errors import Unavailable
from config.settings import MadreSettings, PowerSettings
from madre import plan as life
from madre.app import create
from madre.flows.autonomy import Autonomy
from madre.store import plans as store
from tests.support.clock import ManualClock
from tests.support.house import client_of, house_in
from tests.support.power import TICK_SEC, ScriptedDriver

ANA = Caller("ana", Role.USER, "token-ana")
EVA = Caller("eva", Role.USER, "token-eva")
OLGA = Caller("olga", Role.OPERATOR, "token-olga")
ADA = Caller("ada", Role.ADMIN, "token-ada")


@dataclass
class SpeakingDriver(ScriptedDriver):
    """Services as scripted, and a Switch that answers chats with `reply`, or fails with `problem`."""

    reply: str = "Hello."
    problem: dict[str, Any] | None = None
    heard: list[dict[str, Any]] = field(default_factory=list)
    silence: asyncio.Event | None = None  # set: a chat is answered

    def transport(self) -> httpx.AsyncBaseTransport:
        """Answers chats here, and all else as any scripted service does."""
        others = super().transport()

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path != "/switch/chat":
                return await others.handle_async_request(request)
            self.heard.append(json.loads(request.content))
            if self.silence is not None:
                await self.silence.wait()
            if self.problem is not None:
                return httpx.Response(self.problem["status"], json=self.problem)
            said = {"reply": self.reply, "provider": "local", "model": "smol", "decision": "the only one"}
            cost = {"latency_ms": 5.0, "ttft_ms": 1.0, "tokens_used": 9, "finish_reason": "stop"}
            return httpx.Response(200, json=said | cost)

        return httpx.MockTransport(answer)


@dataclass
class PromptRunner:
    """Brings each plan to its end in its rows, with `result` for every step, unless it is told to hold them.

    With `hangs` nothing that is started ever begins; with `is_down` it cannot be started just now.
    """

    house: House
    result: dict[str, Any] = field(default_factory=lambda: {"found": "nothing"})
    fault: Fault | None = None
    holds: bool = False
    hangs: bool = False
    is_down: bool = False
    started: list[str] = field(default_factory=list)

    async def start(self, plan_id: str) -> None:
        """Do what the plan says, as far as its rows go."""
        if self.is_down:
            raise Unavailable("Plans are not run just now.")
        if self.hangs:
            await asyncio.Event().wait()
        self.started.append(plan_id)
        if not self.holds:
            await self.house.db.writing(self.end, plan_id)

    def prepare(self) -> None:
        pass

    async def cancel(self, plan_id: str) -> None:
        """Nothing of it is under way."""

    def end(self, session: Session, plan_id: str) -> None:
        """Every step done, and the plan."""
        plan, now = store.plan(session, plan_id), self.house.clock.now()
        assert plan is not None
        assert plan.status is Status.RUNNING
        for step in plan.steps:
            plan = life.step_begun(plan, step.number, now)
            if self.fault is None:
                plan = life.step_done(plan, step.number, self.result, now)
            else:
                plan = life.step_failed(plan, step.number, self.fault, now)
        store.keep_plan(session, life.finished(plan, now), now)


@dataclass
class SpokenTo:
    """A running madre, and ways to speak to her as somebody."""

    house: House
    driver: SpeakingDriver
    runner: PromptRunner
    client: httpx.AsyncClient
    clock: ManualClock
    app: FastAPI

    @property
    def autonomy(self) -> Autonomy:
        """The loop, for ticking it by hand."""
        return self.app.state.speaking.autonomy  # type: ignore[no-any-return]

    async def call(
        self, method: str, path: str, caller: Caller = OLGA, *, headers: dict[str, str] | None = None, **given: Any
    ) -> httpx.Response:
        """A request of `caller` under /madre."""
        own = {"x-vx11-token": self.house.auth.sign(caller), **(headers or {})}
        return await self.client.request(method, f"/madre/{path}", headers=own, **given)

    async def say(self, message: str, caller: Caller = OLGA, **fields: Any) -> dict[str, Any]:
        """What comes of a sentence."""
        answer = await self.call("POST", "chat", caller, json={"message": message, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def ask(self, kind: str, caller: Caller = OLGA, *, correlation_id: str = "c-1", **payload: Any) -> Any:
        """What comes of an intent."""
        body = {"type": kind, "payload": payload, "correlation_id": correlation_id, "source": "test"}
        answer = await self.call("POST", "intent", caller, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def spoken_to(
    folder: Path,
    *,
    clock: ManualClock | None = None,
    power: dict[str, Any] | None = None,
    service_control: bool = False,
    timezone: str | None = "UTC",
    present: Collection[str] | None = None,
    **madre: Any,
) -> AsyncIterator[SpokenTo]:
    """Madre on scripted services in `folder`, in a time zone; `madre` are her settings."""
    hand = clock or ManualClock()
    driver = SpeakingDriver(hand)
    house = house_in(
        folder,
        "madre",
        clock=hand,
        transport=driver.transport(),
        timezone=timezone,
        present=present,
        power=PowerSettings(**{"windows_ttl_check_interval": TICK_SEC, "memory_mb": 4096, **(power or {})}),
        madre=MadreSettings(**{"autonomy_interval_sec": 3600, **madre}),
        allow_service_control=service_control,
    )
    runner = PromptRunner(house)
    app = create(house, driver, runner)
    async with client_of(app) as client:
        yield SpokenTo(house, driver, runner, client, hand, app)
