"""What chats and completions ask for alike: how to draw, when to stop, how to answer.

What OpenAI leaves open is as in llama.cpp's server.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from switch.openai.fields import Fields
from switch.worker.sampling import Sampling

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Wish:
    """What both kinds of request ask for besides the prompt."""

    model: str
    sampling: Sampling
    stops: tuple[str, ...]
    max_tokens: int | None
    stream: bool
    include_usage: bool


def wish_of(fields: Fields, *, max_tokens_names: tuple[str, ...]) -> Wish:
    """Read them; what is wrong is noted in `fields`."""
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
