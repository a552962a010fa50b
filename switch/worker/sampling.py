"""The sampling parameters of a request, and the chain of llama.cpp samplers they mean.

Order and defaults are those of llama.cpp's own server (bias, penalties, top-k, typical-p, top-p, min-p, temperature,
draw; `common/common.h`, `common_params_sampling`), so that the same parameters and seed mean the same in both.
A grammar is no stage: it checks what the chain drew, and only where it refuses it comes before the chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; `temperature` 0 takes the likeliest. `seed` makes a draw repeatable.

    `logit_bias` holds pairs of a token and what is added to its logit; `grammar` is in llama.cpp's notation (GBNF)
    and must have been checked, `penalty_last_n` how many of the last tokens the penalties look at.
    """

    temperature: float = 0.8
    top_k: int = 40
    typical_p: float = 1.0
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last_n: int = 64
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""
    seed: int = 0

    @property
    def penalised(self) -> bool:
        """Whether what was said already changes what is said next."""
        return (self.repeat_penalty, self.frequency_penalty, self.presence_penalty) != (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One sampler of the chain: its name in llama.cpp (`llama_sampler_init_…`) and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


def stages(sampling: Sampling, *, n_vocab: int) -> Iterator[Stage]:
    """The chain for `sampling`, first to last; stages that would change nothing are left out."""
    if sampling.logit_bias:
        yield Stage("logit_bias", (n_vocab, sampling.logit_bias))
    if sampling.penalised:
        penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
        yield Stage("penalties", (n_vocab, sampling.penalty_last_n, *penalties))
    if sampling.temperature == 0:
        yield Stage("greedy")
        return
    if sampling.top_k > 0:
        yield Stage("top_k", (sampling.top_k,))
    if sampling.typical_p < 1:
        yield Stage("typical", (sampling.typical_p, 1))
    if sampling.top_p < 1:
        yield Stage("top_p", (sampling.top_p, 1))
    if sampling.min_p > 0:
        yield Stage("min_p", (sampling.min_p, 1))
    yield Stage("temp", (sampling.temperature,))
    yield Stage("dist", (sampling.seed,))
