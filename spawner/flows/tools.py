"""Tasks of type `tool`: another service of the fleet does it, on behalf of whoever asked, with their rights.

No process of ours runs, so there is nothing to keep apart; what may be used at all the job's own `tool_allowlist` says.
The service is woken for it, as the door would.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from config.auth import Caller
from config.contracts.prompts import SwitchChat
from config.contracts.tools import Execution
from config.errors import Invalid, VX11Error
from spawner.adapters.sayings import write_output
from spawner.clients import Hermes, Madre, Switch
from spawner.flows.settling import End
from spawner.orders import ToolCall

TOOLS: Final[Mapping[str, tuple[str, type[BaseModel]]]] = {
    "switch.chat": ("switch", SwitchChat),
    "hermes.execute": ("hermes", Execution),
}

_BECAUSE: Final = 500  # characters


@dataclass(frozen=True, slots=True)
class _Said:
    """What a tool answered: its text, the whole answer, and whether it is well."""

    text: str
    answer: dict[str, Any]
    exit_code: int = 0


def ensure_usable(call: ToolCall, allowlist: list[str]) -> None:
    """Invalid for a tool that is not there, not allowed, or not given what it needs."""
    if call.tool not in TOOLS:
        raise Invalid(f"There is no tool called {call.tool!r}.", hint=f"One of: {', '.join(TOOLS)}.")
    if call.tool not in allowlist:
        raise Invalid(f"{call.tool!r} is not in the job's tool_allowlist.", hint="Name it there to let the job use it.")
    _body(call)


def _body(call: ToolCall) -> BaseModel:
    try:
        return TOOLS[call.tool][1].model_validate(_spelt_out(call))
    except ValidationError as error:
        wrong = [
            {"field": ".".join(map(str, one["loc"])) or call.tool, "message": one["msg"]} for one in error.errors()
        ]
        raise Invalid(f"{call.tool!r} cannot be used like that.", errors=wrong) from None


def _spelt_out(call: ToolCall) -> dict[str, Any]:
    """The arguments as the service takes them: a chat may be given as one `prompt`, which is how people write it."""
    if call.tool != "switch.chat" or "prompt" not in call.arguments:
        return call.arguments
    rest = {name: value for name, value in call.arguments.items() if name != "prompt"}
    return {"messages": [{"role": "user", "content": call.arguments["prompt"]}], **rest}


class Toolbox:
    """Uses tools."""

    def __init__(self, madre: Madre, switch: Switch, hermes: Hermes) -> None:
        self._madre = madre
        self._switch = switch
        self._hermes = hermes

    async def use(
        self, caller: Caller, call: ToolCall, allowlist: tuple[str, ...], avoid: tuple[str, ...], output: Path
    ) -> End:
        """One use of a tool; how it ended. `avoid` are providers that failed before."""
        began, provider = time.monotonic(), None
        try:
            ensure_usable(call, list(allowlist))
            await self._madre.wake(TOOLS[call.tool][0])
            body = _body(call)
            if isinstance(body, SwitchChat):
                body = await self._with_provider(body, caller, avoid)
                provider = body.provider
            said = await self._ask(body, caller)
        except VX11Error as error:
            said = _Said(f"{error.code}: {error.detail}", {"code": error.code, "detail": error.detail}, exit_code=1)
        size = await asyncio.to_thread(write_output, output, said.text)
        return End(
            kind="exited",
            because="" if said.exit_code == 0 else said.text[:_BECAUSE],
            exit_code=said.exit_code,
            wall_sec=round(time.monotonic() - began, 3),
            output_bytes=size,
            result=said.answer if len(json.dumps(said.answer)) <= 16_384 else None,
            provider=provider,
        )

    async def _ask(self, body: BaseModel, caller: Caller) -> _Said:
        if isinstance(body, SwitchChat):
            reply = await self._switch.chat(body, caller)
            return _Said(reply.reply, reply.model_dump())
        assert isinstance(body, Execution), "the table of tools names no other body"
        ran = await self._hermes.execute(body, caller)
        return _Said(ran.output + ran.errors, ran.model_dump(), exit_code=0 if ran.status == "done" else ran.code or 1)

    async def _with_provider(self, body: SwitchChat, caller: Caller, avoid: tuple[str, ...]) -> SwitchChat:
        """The same chat, kept to the best provider that has not failed; left as it is where none is known."""
        if body.provider is not None and body.provider not in avoid:
            return body
        selected = await self._switch.select(str(body.messages[-1].get("content", "")) or "?", caller)
        for engine in selected.healthy_engines:
            provider, _, model = engine.partition("/")
            if provider not in avoid:
                return body.model_copy(update={"provider": provider, "model": body.model or model})
        return body
