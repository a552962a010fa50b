"""A request on its way through the engine: waiting, running, or put back for want of cells."""

from __future__ import annotations

from typing import Any, Generic

from switch.worker.compute import D
from switch.worker.outlet import End, Outlet
from switch.worker.sequence import Finish, Job, Sequence

HEADROOM = 32  # tokens of its answer that a request should have cells for when it begins


class Ticket:
    """A request in the engine's hands.

    `running` is what it was when it was put back. `awaits` is the request that is evaluating the same beginning, and
    how many tokens of it to wait for.
    """

    __slots__ = ("awaits", "cancelled", "job", "outlet", "running")

    def __init__(self, job: Job, outlet: Outlet) -> None:
        self.job = job
        self.outlet = outlet
        self.cancelled = False
        self.running: Running[Any] | None = None
        self.awaits: tuple[Running[Any], int] | None = None

    @property
    def tokens(self) -> list[int]:
        """What it will have evaluated when it has caught up."""
        return self.running.sequence.tokens if self.running else self.job.prompt

    def wants(self, n_ctx: int) -> int:
        """Cells that it should find to begin with."""
        return min(self.job.most_tokens(n_ctx), len(self.tokens) + HEADROOM)


class Running(Generic[D]):
    """A ticket that holds a sequence id. `cached` counts the prompt tokens it did not have to evaluate."""

    __slots__ = ("admitted_at", "cached", "first_at", "sampler", "sequence", "ticket")

    def __init__(self, ticket: Ticket, sequence: Sequence, sampler: D, now: float, cached: int) -> None:
        self.ticket = ticket
        self.sequence = sequence
        self.sampler = sampler
        self.admitted_at = now
        self.first_at = 0.0
        self.cached = cached

    def wants(self, n_ctx: int) -> int:
        """Cells it will want soon beyond those it has."""
        sequence = self.sequence
        soon = min(self.ticket.job.most_tokens(n_ctx), len(sequence.tokens) + HEADROOM)
        return max(0, soon - sequence.n_past)

    def end(self, now: float) -> End:
        """The counts of the finished answer."""
        sequence = self.sequence
        return End(
            finish=sequence.finish or Finish.STOP,
            prompt_tokens=sequence.n_prompt,
            completion_tokens=sequence.generated,
            prompt_seconds=self.first_at - self.admitted_at,
            decode_seconds=now - self.first_at,
            cached_tokens=self.cached,
        )
