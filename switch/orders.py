"""What is asked and by whom, as every provider gets it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from config.auth import Caller
from switch.choose import asked

AUTO = "auto"  # the name that leaves the choice of a model open
_BYTES_PER_TOKEN = 4
_PROMPTS = ("messages", "prompt", "input", "tools")
_ANSWER_LIMITS = ("max_completion_tokens", "max_tokens")
_PEOPLE = (None, "tentaculo_link", "operator")  # who passes a person's request on counts as that person
_PRIORITIES = {"shub": 0, "operator": 1, "tentaculo_link": 1, "madre": 2, "spawner": 3}  # CONTRACT, section 6
_LAST_PRIORITY = 4


@dataclass(frozen=True, slots=True)
class Order:
    """One request in OpenAI's words: `path` and `body` as they go to a provider, and what was read of them.

    `model` is None where the caller leaves the choice open. `prompt_tokens_guess` is the bytes of its text by four.
    """

    path: str
    body: bytes
    request: dict[str, Any]
    model: str | None
    stream: bool
    prompt_tokens_guess: int
    max_tokens: int | None
    n: int

    def for_model(self, model: str) -> Order:
        """The same order with `model` named in its body."""
        if self.request.get("model") == model:
            return self if self.model == model else replace(self, model=model)
        request = {**self.request, "model": model}
        return replace(self, model=model, request=request, body=json.dumps(request).encode())


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom an order is: `share_key` says whose fair share it counts to, `priority` 0 goes first."""

    user: str
    share_key: str
    priority: int


def order_of(path: str, body: bytes) -> Order:
    """Read a request's body; BadRequest for what is not a JSON object. Fields are checked by who serves them."""
    return order_from(path, body, asked(body))


def order_from(path: str, body: bytes, request: dict[str, Any]) -> Order:
    """The order of a request that was read already."""
    model = request.get("model")
    return Order(
        path=path,
        body=body,
        request=request,
        model=model if isinstance(model, str) and model and model != AUTO else None,
        stream=request.get("stream") is True,
        prompt_tokens_guess=sum(_text_bytes(request.get(name)) for name in _PROMPTS) // _BYTES_PER_TOKEN,
        max_tokens=next((limit for name in _ANSWER_LIMITS if (limit := _whole(request.get(name)))), None),
        n=_whole(request.get("n")) or 1,
    )


def asker_of(caller: Caller) -> Asker:
    """Whose share a caller's orders count to, and how urgent they are."""
    share = caller.user if caller.service in _PEOPLE else f"{caller.service}:{caller.user}"
    return Asker(caller.user, share, _PRIORITIES.get(caller.service or "", _LAST_PRIORITY))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text_bytes(value: object) -> int:
    """Bytes of all text below `value`; a number stands for one token. JSON's reader has bounded the depth."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            total += len(item) if item.isascii() else len(item.encode("utf-8", "surrogatepass"))
        elif isinstance(item, list):
            rest.extend(item)
        elif isinstance(item, dict):
            rest.extend(item.values())
        elif isinstance(item, int):
            total += _BYTES_PER_TOKEN
    return total
