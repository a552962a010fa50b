"""Who gives how many tokens to the next batch. Pure.

Rules: every sequence that has one token to evaluate (it is decoding, or at the end of its prompt) is
served in every step; prompts take what is left of the batch, oldest first. While an answer is running, prompts
get at most `n_chunk` tokens a step, so a long prompt delays the next token of the others by a bounded
time. The slices stand in ascending order of sequence id: llama.cpp cuts a batch in other order into one
micro-batch a sequence, which halves the speed of eight streams.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Demand(NamedTuple):
    """What a sequence could contribute: `pending` tokens not evaluated yet; lower `arrival` came earlier."""

    seq_id: int
    pending: int
    arrival: int


class Slice(NamedTuple):
    """`size` tokens of one sequence in the batch; `last` when they are all it has, so its logits are wanted."""

    seq_id: int
    size: int
    last: bool


def plan(demands: Iterable[Demand], *, n_batch: int, n_chunk: int) -> list[Slice]:
    """The next batch: at most `n_batch` tokens, ascending by sequence id; empty when nobody has a token."""
    waiting = sorted(demand for demand in demands if demand.pending > 0)
    singles = sum(1 for demand in waiting if demand.pending == 1)
    if singles == len(waiting):
        return [Slice(demand.seq_id, 1, True) for demand in waiting[:n_batch]]
    budget = n_batch if singles == 0 else min(n_chunk, n_batch - singles)
    shares = _shares((demand for demand in waiting if demand.pending > 1), budget)
    sizes = ((demand, 1 if demand.pending == 1 else shares.get(demand.seq_id, 0)) for demand in waiting)
    return [Slice(demand.seq_id, size, size == demand.pending) for demand, size in sizes if size > 0]


def _shares(prompts: Iterable[Demand], budget: int) -> dict[int, int]:
    """Prompt tokens by sequence id, the oldest sequence first, `budget` in all."""
    shares: dict[int, int] = {}
    for demand in sorted(prompts, key=lambda demand: demand.arrival):
        shares[demand.seq_id] = min(demand.pending, budget)
        budget -= shares[demand.seq_id]
        if budget == 0:
            break
    return shares
