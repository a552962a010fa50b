"""How long a request will take: rates learnt for each model from the `timings` of its answers. Pure.

A worker slows each of its answers down when it makes several at once, so rates are kept for each number of
requests at once. What was not measured yet is guessed from the nearest number that was, and before anything was
measured from the size of the model: generating reads the whole model once a token, so it is bound by memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_WEIGHT = 0.2  # of the newest answer in an average: about the last ten count
_GAIN = 0.35  # batching c answers makes c**0.35 times the tokens of one: 1.3 at 2, 1.6 at 4 (two cores, measured)
_MEMORY_MB_PER_SEC = 8_000.0  # what one core reads, about
_PROMPT_SPEED_UP = 8.0  # prompt tokens are computed together, so they cost a fraction of an answer's
_DISK_MB_PER_SEC = 400.0
_START_SEC = 0.5
_ANSWER_TOKENS = 128.0
_SMALL_PROMPT = 16  # tokens; shorter ones tell of the fixed cost of a step, not of the rate
_MOST_STRETCH = 4.0  # one reader who dawdles for minutes tells little about the next
_NUMBER = rb'"%s":\s*([0-9.eE+-]+)'
_FIELDS = {name: re.compile(_NUMBER % name) for name in (b"prompt_n", b"prompt_ms", b"predicted_n", b"predicted_ms")}


@dataclass(frozen=True, slots=True)
class Timings:
    """What one answer took: tokens evaluated and generated (by all its choices together), and seconds."""

    prompt_tokens: int
    prompt_seconds: float
    answer_tokens: int
    answer_seconds: float


def timings_in(tail: bytes) -> Timings | None:
    """The `timings` (llama.cpp's names) that the end of an answer holds; None where it did not come to its end."""
    start = tail.rfind(b'"timings"')
    if start < 0:
        return None
    found = [pattern.search(tail, start) for pattern in _FIELDS.values()]
    try:
        prompt_n, prompt_ms, predicted_n, predicted_ms = (float(match[1]) for match in found if match)
    except ValueError:
        return None
    return Timings(int(prompt_n), prompt_ms / 1000, int(predicted_n), predicted_ms / 1000)


@dataclass(slots=True)
class Average:
    """An exponentially weighted average; None until something was measured."""

    value: float | None = None

    def add(self, new: float) -> None:
        """Count one measurement."""
        self.value = new if self.value is None else self.value + _WEIGHT * (new - self.value)


@dataclass(slots=True)
class ModelRates:
    """What is known of one model of `size_mb` MiB."""

    size_mb: float
    _prompt: dict[int, Average] = field(default_factory=dict)
    _decode: dict[int, Average] = field(default_factory=dict)
    _answer: Average = field(default_factory=Average)
    _stretch: Average = field(default_factory=Average)

    def learn(self, timings: Timings, at_once: int, stayed: float) -> None:
        """Count one answer, made while about `at_once` requests were served, by one who `stayed` seconds for it."""
        if timings.prompt_seconds > 0 and (timings.prompt_tokens >= _SMALL_PROMPT or not self._prompt):
            rate = max(1, timings.prompt_tokens) / timings.prompt_seconds
            self._prompt.setdefault(at_once, Average()).add(rate)
        if timings.answer_seconds > 0 and timings.answer_tokens > 1:
            self._decode.setdefault(at_once, Average()).add(timings.answer_tokens / timings.answer_seconds)
        if timings.answer_tokens:
            self._answer.add(timings.answer_tokens)
        if predicted := self.seconds(timings.prompt_tokens, timings.answer_tokens, at_once):
            self._stretch.add(min(_MOST_STRETCH, stayed / predicted))

    @property
    def load_seconds(self) -> float:
        """How long bringing it into memory takes, before that was measured."""
        return self.size_mb / _DISK_MB_PER_SEC + _START_SEC

    def prompt_per_second(self, at_once: int = 1) -> float:
        """Prompt tokens a second that one of `at_once` requests gets."""
        guess = _PROMPT_SPEED_UP * _MEMORY_MB_PER_SEC / max(1.0, self.size_mb)
        return _nearest(self._prompt, at_once, guess)

    def decode_per_second(self, at_once: int = 1) -> float:
        """Tokens of an answer a second that one of `at_once` requests gets."""
        return _nearest(self._decode, at_once, _MEMORY_MB_PER_SEC / max(1.0, self.size_mb))

    def answer_tokens(self, max_tokens: int | None) -> float:
        """How long an answer will be, as far as one can know."""
        expected = _ANSWER_TOKENS if self._answer.value is None else self._answer.value
        return expected if max_tokens is None else min(expected, max_tokens)

    def seconds(self, prompt_tokens: float, answer_tokens: float, at_once: int = 1) -> float:
        """How long one of `at_once` requests takes."""
        return prompt_tokens / self.prompt_per_second(at_once) + answer_tokens / self.decode_per_second(at_once)

    def stay_seconds(self, prompt_tokens: float, answer_tokens: float, at_once: int) -> float:
        """How long one of `at_once` requests keeps its place: with its way in and out, and a reader's slowness."""
        stretch = max(1.0, self._stretch.value or 1.0)
        return stretch * self.seconds(prompt_tokens, answer_tokens, at_once)


def _nearest(measured: dict[int, Average], at_once: int, guess_alone: float) -> float:
    """The rate at the number of requests nearest to `at_once`, brought to `at_once` by what batching gains."""
    known = {number: average.value for number, average in measured.items() if average.value}
    if not known:
        return guess_alone * _part(at_once)
    number = min(known, key=lambda one: abs(one - at_once))
    return known[number] * _part(at_once) / _part(number)


def _part(at_once: int) -> float:
    """The part of the speed alone that each of `at_once` gets."""
    return float(at_once**_GAIN / at_once)


class Rates:
    """The rates of every model, by name; a model whose file has changed is another one."""

    def __init__(self) -> None:
        self._models: dict[str, tuple[str, ModelRates]] = {}

    def of(self, name: str, sha256: str, size_mb: float) -> ModelRates:
        """What is known of a model."""
        known = self._models.get(name)
        if known is None or known[0] != sha256:
            known = self._models[name] = (sha256, ModelRates(size_mb))
        return known[1]
