"""What chats and completions ask for alike: how to draw, when to stop, how to answer.

What OpenAI leaves open is as in llama.cpp's server.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from switch.openai.constraint import Constraint, constraint_of
from switch.openai.fields import Fields, is_unicode
from switch.worker.sampling import Sampling

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 512
MAX_CHOICES = 8
MAX_BIASES = 1024
MAX_LIKELIEST = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """What both kinds of request ask for besides the prompt.

    `logprobs` is None, or how many alternatives to tell beside each token; `choices` is OpenAI's `n`; `reuse` is
    llama.cpp's `cache_prompt`: whether what is known of the prompt already may be used.
    """

    model: str
    sampling: Sampling
    stops: tuple[str, ...]
    max_tokens: int | None
    stream: bool
    include_usage: bool
    choices: int = 1
    logprobs: int | None = None
    constraint: Constraint | None = None
    reuse: bool = True


def wish_of(fields: Fields, *, max_tokens_names: tuple[str, ...], logprobs: int | None, least_tokens: int = 1) -> Wish:
    """Read them; what is wrong is noted in `fields`."""
    limits = [fields.whole(name, low=least_tokens, high=(1 << 31) - 1) for name in max_tokens_names]
    stream = fields.flag("stream")
    return Wish(
        model=fields.text("model"),
        sampling=_sampling(fields),
        stops=_stops(fields),
        max_tokens=next((limit for limit in limits if limit is not None), None),
        stream=stream,
        include_usage=_include_usage(fields, stream=stream),
        choices=_choices(fields),
        logprobs=logprobs,
        constraint=constraint_of(fields),
        reuse=fields.flag("cache_prompt", default=True),
    )


def _choices(fields: Fields) -> int:
    """`n`; `best_of` only where it asks for no more than that, since nothing here is thrown away."""
    choices = fields.whole("n", low=1, high=MAX_CHOICES) or 1
    best_of = fields.whole("best_of", low=1, high=MAX_CHOICES)
    if best_of is not None and best_of != choices:
        fields.wrong("best_of", "is not supported where it differs from n")
    return choices


def _sampling(fields: Fields) -> Sampling:
    plain = Sampling()
    seed = fields.whole("seed", low=-(1 << 63), high=(1 << 64) - 1)
    top_k = fields.whole("top_k", low=0, high=(1 << 31) - 1)
    last_n = fields.whole("repeat_last_n", low=0, high=8192)
    return Sampling(
        temperature=fields.number("temperature", plain.temperature, low=0, high=2),
        top_k=plain.top_k if top_k is None else top_k,
        typical_p=fields.number("typical_p", plain.typical_p, low=0, high=1),
        top_p=fields.number("top_p", plain.top_p, low=0, high=1),
        min_p=fields.number("min_p", plain.min_p, low=0, high=1),
        repeat_penalty=fields.number("repeat_penalty", plain.repeat_penalty, low=0.01, high=10),
        frequency_penalty=fields.number("frequency_penalty", 0.0, low=-2, high=2),
        presence_penalty=fields.number("presence_penalty", 0.0, low=-2, high=2),
        penalty_last_n=plain.penalty_last_n if last_n is None else last_n,
        logit_bias=_logit_bias(fields),
        # The largest 32-bit number means "random" to llama.cpp.
        seed=secrets.randbelow(0xFFFFFFFF) if seed is None else seed % 0xFFFFFFFF,
    )


def _logit_bias(fields: Fields) -> tuple[tuple[int, float], ...]:
    value = fields.take("logit_bias")
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > MAX_BIASES:
        fields.wrong("logit_bias", f"must be an object of at most {MAX_BIASES} tokens")
        return ()
    pairs = []
    for token, bias in value.items():
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            fields.wrong(f"logit_bias.{token}", "must be the number of a token, as a string")
        elif not _is_bias(bias):
            fields.wrong(f"logit_bias.{token}", "must be a number from -100 to 100")
        else:
            pairs.append((int(token), float(bias)))
    return tuple(pairs)


def _is_bias(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -100 <= value <= 100


def _stops(fields: Fields) -> tuple[str, ...]:
    value = fields.take("stop")
    stops = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        fields.wrong("stop", f"must be a string or a list of at most {MAX_STOPS} strings")
        return ()
    for index, stop in enumerate(stops):
        if not (isinstance(stop, str) and 0 < len(stop) <= MAX_STOP_CHARACTERS and is_unicode(stop)):
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
