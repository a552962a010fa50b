"""Prompts in VX11's own words: a chat, a routed prompt, advice. All are answered as OpenAI's chats are."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from config.app import House
from config.auth import Caller
from config.contracts.prompts import (
    AdviceAnswer,
    AdviceRequest,
    Advised,
    RoutedAnswer,
    RoutedPrompt,
    SwitchChat,
    SwitchChatAnswer,
)
from config.db_schema import new_id
from config.errors import Invalid, VX11Error
from config.problems.incoming import error_from_answer
from config.streaming import Head
from switch.chat_answer import Assembly
from switch.flows.completions import Answer, Completions
from switch.offers import LOCAL
from switch.orders import AUTO, Order, order_from
from switch.ranking import Wish
from switch.trace import Occasion, Trace

CHAT_PATH = "/v1/chat/completions"
_PASSED_ON = ("max_tokens", "temperature", "seed", "response_format", "tools", "stop")
_ADVICE_TOKENS = 400
_LARGEST_CONTEXT = 64 * 2**10
_ADVISER = (
    "You advise the operator of a small fleet of services. Given an incident and its context, say in JSON what it "
    "probably is, how severe, what may have caused it, and what a person should look at or do. Invent no facts."
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer, and the trace of how it came about."""

    said: Assembly
    trace: Trace
    latency_ms: float

    @property
    def provider(self) -> str:
        """Who answered."""
        assert self.trace.chosen is not None
        return self.trace.chosen.offer.provider

    @property
    def model(self) -> str:
        """Which model answered."""
        assert self.trace.chosen is not None
        return self.trace.chosen.offer.model


class Chats:
    """VX11's own calls for prompts."""

    def __init__(self, house: House, completions: Completions) -> None:
        self._house = house
        self._completions = completions

    def streamed(self, body: SwitchChat, caller: Caller) -> Answer:
        """A chat as OpenAI's stream of chunks."""
        order, wish = _chat_order(body, stream=True), _wish(body.metadata, body.model, body.provider)
        return self._completions.answer(self._completions.trace(order, wish, caller, _chat_occasion(body)))

    async def chat(self, body: SwitchChat, caller: Caller) -> SwitchChatAnswer:
        """A chat, whole."""
        order, wish = _chat_order(body, stream=True), _wish(body.metadata, body.model, body.provider)
        heard = await self.heard(order, wish, caller, _chat_occasion(body))
        return SwitchChatAnswer(
            reply=heard.said.text,
            provider=heard.provider,
            model=heard.model,
            decision=heard.trace.decision,
            latency_ms=heard.latency_ms,
            ttft_ms=heard.trace.account.ttft_ms,
            tokens_used=heard.said.tokens,
            finish_reason=heard.said.finish_reason,
        )

    async def route(self, body: RoutedPrompt, caller: Caller) -> RoutedAnswer:
        """A prompt, answered at once by whom Switch chooses."""
        heard, row_id = await self.routed(body, caller, "route", new_id("ask"))
        return RoutedAnswer(
            status="DONE",
            model=heard.model,
            provider=heard.provider,
            reply=heard.said.text,
            latency_ms=heard.latency_ms,
            task_queue_id=row_id,
            decision=heard.trace.decision,
        )

    async def routed(self, body: RoutedPrompt, caller: Caller, kind: str, row_id: str) -> tuple[Heard, str]:
        """The answer to a routed prompt; `row_id` names the row of its life."""
        model = body.metadata.get("model")
        if model is not None and not isinstance(model, str):
            raise Invalid(
                "`metadata.model` must name a model.", errors=[{"field": "metadata.model", "message": "text"}]
            )
        request = _request([{"role": "user", "content": body.prompt}], model, body.metadata, stream=True)
        occasion = Occasion(
            kind, body.task_type, source=body.source, row_id=row_id, has_row=kind == "task", tells_waiting=False
        )
        order = order_from(CHAT_PATH, json.dumps(request).encode(), request)
        return await self.heard(order, _wish(body.metadata, model, None), caller, occasion), row_id

    async def heard(self, order: Order, wish: Wish, caller: Caller, occasion: Occasion) -> Heard:
        """The whole answer to a streamed order; raises what went wrong, also in the middle of it."""
        trace = self._completions.trace(order, wish, caller, occasion)
        said = Assembly()
        refused: tuple[Head, bytearray] | None = None
        async with contextlib.aclosing(self._completions.answer(trace)) as items:
            async for item in items:
                if isinstance(item, Head):
                    refused = (item, bytearray()) if item.status >= 400 else None
                elif refused is not None:
                    refused[1].extend(item)
                else:
                    said.feed(item)
        if refused is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in refused[0].headers}
            raise error_from_answer(refused[0].status, headers, bytes(refused[1]))
        said.ended()
        return Heard(said, trace, trace.account.latency_ms(self._house.clock.monotonic()))

    async def advice(self, body: AdviceRequest, caller: Caller) -> AdviceAnswer:
        """What a local model makes of an incident; says so where none can be asked, or what it said is no advice."""
        began = self._house.clock.monotonic()
        order, wish = _advice_order(body), Wish("chat", kinds=frozenset({LOCAL}))
        try:
            heard = await self.heard(order, wish, caller, Occasion("advice", "advice", tells_waiting=False))
        except VX11Error as error:
            latency = round((self._house.clock.monotonic() - began) * 1000, 3)
            return AdviceAnswer(degraded=True, reason=error.detail, advice=None, provider=None, model=None,
                                decision=None, latency_ms=latency)  # fmt: skip
        advised, reason = _advised(heard.said.text)
        return AdviceAnswer(
            degraded=advised is None,
            reason=reason,
            advice=advised,
            provider=heard.provider,
            model=heard.model,
            decision=heard.trace.decision,
            latency_ms=heard.latency_ms,
        )


def _chat_occasion(body: SwitchChat) -> Occasion:
    return Occasion("chat", "chat", session_id=body.session_id, tells_waiting=body.stream)


def _chat_order(body: SwitchChat, *, stream: bool) -> Order:
    request = _request(body.messages, body.model, body.metadata, stream=stream)
    return order_from(CHAT_PATH, json.dumps(request).encode(), request)


def _request(
    messages: list[dict[str, Any]], model: str | None, metadata: Mapping[str, Any], *, stream: bool
) -> dict[str, Any]:
    passed = {name: metadata[name] for name in _PASSED_ON if metadata.get(name) is not None}
    return {
        "model": model or AUTO,
        "messages": messages,
        "stream": stream,
        "stream_options": {"include_usage": True},
        **passed,
    }


def _wish(metadata: Mapping[str, Any], model: str | None, provider: str | None) -> Wish:
    named = None if model in (None, AUTO) else model
    return Wish("chat", named, provider, fallback=metadata.get("fallback") is True)


def _advice_order(body: AdviceRequest) -> Order:
    context = json.dumps(body.context)
    if len(context) > _LARGEST_CONTEXT:
        raise Invalid(
            f"`context` is over {_LARGEST_CONTEXT} bytes.", errors=[{"field": "context", "message": "shorter"}]
        )
    messages = [
        {"role": "system", "content": _ADVISER},
        {"role": "user", "content": f"Incident: {body.incident_summary}\nContext: {context}"},
    ]
    schema = {"name": "advice", "strict": True, "schema": _ADVICE_SCHEMA}
    metadata = {
        "temperature": 0,
        "max_tokens": _ADVICE_TOKENS,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    request = _request(messages, None, metadata, stream=True)
    return order_from(CHAT_PATH, json.dumps(request).encode(), request)


def _advised(text: str) -> tuple[Advised | None, str | None]:
    try:
        return Advised.model_validate_json(text), None
    except ValidationError:
        return None, "The model's answer was not advice in the agreed form; it may have been cut off."


_LINES = {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 4}
_ADVICE_SCHEMA = {
    "type": "object",
    "properties": {
        "diagnosis": {"type": "string", "maxLength": 300},
        "severity": {"enum": ["info", "warning", "error", "critical"]},
        "probable_causes": _LINES,
        "suggested_actions": _LINES,
    },
    "required": ["diagnosis", "severity", "probable_causes", "suggested_actions"],
    "additionalProperties": False,
}
