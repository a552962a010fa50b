"""Request bodies of OpenAI's `chat/completions` and `completions`, checked and turned into what the engine runs.

A parameter is taken, or known to change nothing, or refused by name: none is dropped in silence. All faults of a
body are told at once, as `errors[]` of one Invalid. What OpenAI leaves open is as in llama.cpp's server.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from config.errors import BadRequest, Invalid
from switch.worker.sampling import Sampling

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 512
MAX_MESSAGES = 10_000
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
# They address a caller, a bill or a cache, and change no token of the answer.
_WITHOUT_EFFECT = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
# Refused unless they ask for what is done anyway.
_ONLY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none",),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none",),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What both kinds of request ask for besides the prompt."""

    model: str
    sampling: Sampling
    stops: tuple[str, ...]
    max_tokens: int | None
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`POST /v1/chat/completions`: messages of `role` and `content`, both plain text."""

    messages: list[dict[str, str]]
    wish: Wish


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """`POST /v1/completions`: the prompt as text or as tokens."""

    prompt: str | list[int]
    wish: Wish


def parse_chat(raw: bytes) -> ChatRequest:
    """Check a chat request; raises BadRequest for what is not JSON and Invalid for what is not as it should be."""
    fields = Fields(_object(raw))
    messages = _messages(fields)
    wish = _wish(fields, max_tokens_names=("max_completion_tokens", "max_tokens"))
    fields.finish()
    return ChatRequest(messages, wish)


def parse_completion(raw: bytes) -> CompletionRequest:
    """Check a completion request; raises BadRequest and Invalid as `parse_chat` does."""
    fields = Fields(_object(raw))
    prompt = _prompt(fields)
    wish = _wish(fields, max_tokens_names=("max_tokens",))
    fields.finish()
    return CompletionRequest(prompt, wish)


class Fields:
    """Reads the members of a body one by one and gathers what is wrong with them."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self._errors: list[dict[str, str]] = []
        self._known = set(_WITHOUT_EFFECT)

    def wrong(self, field: str, message: str) -> None:
        """Note a fault."""
        self._errors.append({"field": field, "message": message})

    def take(self, name: str) -> Any:
        """The member `name`; None where it is absent or null."""
        self._known.add(name)
        return self._body.get(name)

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self.take(name)
        if isinstance(value, str) and value and _is_unicode(value):
            return value
        self.wrong(name, "must be a string that is not empty")
        return ""

    def flag(self, name: str) -> bool:
        """True or false; false where it is absent."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.wrong(name, "must be true or false")
        return False

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self.take(name)
        if value is None:
            return default
        # The comparison is false for NaN, which Python's JSON reader lets through.
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.wrong(name, f"must be a number from {low:g} to {high:g}")
        return default

    def whole(self, name: str, *, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, or None."""
        value = self.take(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
            return value
        self.wrong(name, f"must be a whole number from {low} to {high}")
        return None

    def finish(self) -> None:
        """Raise Invalid if anything was wrong, was asked for but is not offered, or is not known."""
        for name in sorted(_ONLY.keys() & self._body.keys()):
            value = self.take(name)
            if value is not None and not any(_same(value, allowed) for allowed in _ONLY[name]):
                self.wrong(name, f"{json.dumps(value)[:80]} is not supported yet")
        for name in sorted(self._body.keys() - self._known):
            self.wrong(name, "is not a parameter of this call")
        if self._errors:
            names = ", ".join(error["field"] for error in self._errors)
            raise Invalid(f"Not as the contract says: {names}.", errors=self._errors)


def _same(value: Any, allowed: Any) -> bool:
    """Equality that tells 1 from True and 0 from False."""
    return type(value) is type(allowed) and bool(value == allowed)


def _object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {type(error).__name__}.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def _wish(fields: Fields, *, max_tokens_names: tuple[str, ...]) -> Wish:
    limits = [fields.whole(name, low=1, high=(1 << 31) - 1) for name in max_tokens_names]
    stream = fields.flag("stream")
    return Wish(
        model=fields.text("model"),
        sampling=_sampling(fields),
        stops=_stops(fields),
        max_tokens=next((limit for limit in limits if limit is not None), None),
        stream=stream,
        include_usage=_include_usage(fields, stream=stream),
    )


def _sampling(fields: Fields) -> Sampling:
    plain = Sampling()
    seed = fields.whole("seed", low=-(1 << 63), high=(1 << 64) - 1)
    top_k = fields.whole("top_k", low=0, high=(1 << 31) - 1)
    return Sampling(
        temperature=fields.number("temperature", plain.temperature, low=0, high=2),
        top_k=plain.top_k if top_k is None else top_k,
        top_p=fields.number("top_p", plain.top_p, low=0, high=1),
        min_p=fields.number("min_p", plain.min_p, low=0, high=1),
        repeat_penalty=fields.number("repeat_penalty", plain.repeat_penalty, low=0.01, high=10),
        frequency_penalty=fields.number("frequency_penalty", 0.0, low=-2, high=2),
        presence_penalty=fields.number("presence_penalty", 0.0, low=-2, high=2),
        # The largest 32-bit number means "random" to llama.cpp.
        seed=secrets.randbelow(0xFFFFFFFF) if seed is None else seed % 0xFFFFFFFF,
    )


def _stops(fields: Fields) -> tuple[str, ...]:
    value = fields.take("stop")
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        fields.wrong("stop", f"must be a string or a list of at most {MAX_STOPS} strings")
        return ()
    for index, stop in enumerate(stops):
        if not (isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_CHARACTERS):
            fields.wrong(f"stop.{index}", f"must be a string of 1 to {MAX_STOP_CHARACTERS} characters")
    return tuple(stop for stop in stops if isinstance(stop, str))


def _include_usage(fields: Fields, *, stream: bool) -> bool:
    options = fields.take("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        fields.wrong("stream_options", "must be an object, and goes with stream: true")
        return False
    if not isinstance(wanted := options.get("include_usage", False), bool):
        fields.wrong("stream_options.include_usage", "must be true or false")
    return wanted is True


def _prompt(fields: Fields) -> str | list[int]:
    value = fields.take("prompt")
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
        [value] = value
    if isinstance(value, str) and value and _is_unicode(value):
        return value
    if isinstance(value, list) and value and all(type(token) is int and 0 <= token < 1 << 31 for token in value):
        return value
    fields.wrong("prompt", "must be one text or one list of tokens, not empty")
    return ""


def _messages(fields: Fields) -> list[dict[str, str]]:
    value = fields.take("messages")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_MESSAGES:
        fields.wrong("messages", f"must be a list of 1 to {MAX_MESSAGES} messages")
        return []
    messages = (_message(message, _at(fields, f"messages.{index}")) for index, message in enumerate(value))
    return [message for message in messages if message is not None]


def _at(fields: Fields, path: str) -> Callable[[str, str], None]:
    """A way to note faults below `path`."""
    return lambda name, message: fields.wrong(f"{path}.{name}" if name else path, message)


def _message(value: Any, wrong: Callable[[str, str], None]) -> dict[str, str] | None:
    """One message as `role` and `content`, or None after noting what is wrong with it."""
    if not isinstance(value, dict):
        wrong("", "must be an object")
        return None
    for name in ("tool_calls", "function_call", "tool_call_id", "audio"):
        if value.get(name):
            wrong(name, "is not supported yet")
    role = ROLES.get(role) if isinstance(role := value.get("role"), str) else None
    if role is None:
        wrong("role", f"must be one of {', '.join(ROLES)}")
    content = _content(value.get("content"), wrong)
    return None if role is None or content is None else {"role": role, "content": content}


def _content(value: Any, wrong: Callable[[str, str], None]) -> str | None:
    """Text, or a list of text parts that are joined."""
    if isinstance(value, list):
        for index, part in enumerate(value):
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                wrong(f"content.{index}", "must be a part of type text; others are not supported")
                return None
        value = "".join(part["text"] for part in value)
    if isinstance(value, str) and _is_unicode(value):
        return value
    wrong("content", "must be text, or a list of text parts")
    return None


def _is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8; JSON may spell half a surrogate pair, which cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
