"""The sampling parameters of a request, and the chain of llama.cpp samplers they mean.

Order and defaults are those of llama.cpp's own server (penalties, top-k, top-p, min-p, temperature,
draw; `common/common.h`, `common_params_sampling`), so that the same parameters and seed mean the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PENALTY_LAST_N = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; `temperature` 0 takes the likeliest. `seed` makes a draw repeatable."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0

    @property
    def penalised(self) -> bool:
        """Whether what was said already changes what is said next."""
        return (self.repeat_penalty, self.frequency_penalty, self.presence_penalty) != (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler of the chain: its name in llama.cpp (`llama_sampler_init_…`) and its arguments."""

    name: str
    arguments: tuple[float, ...] = ()


def stages(sampling: Sampling, *, n_vocab: int) -> Iterator[Stage]:
    """The chain for `sampling`, first to last; stages that would change nothing are left out."""
    if sampling.penalised:
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        yield Stage("penalties", (n_vocab, PENALTY_LAST_N, *penalties))
    if sampling.temperature == 0:
        yield Stage("greedy")
        return
    if sampling.top_k > 0:
        yield Stage("top_k", (sampling.top_k,))
    if sampling.top_p < 1:
        yield Stage("top_p", (sampling.top_p, 1))
    if sampling.min_p > 0:
        yield Stage("min_p", (sampling.min_p, 1))
    yield Stage("temp", (sampling.temperature,))
    yield Stage("dist", (sampling.seed,))
