"""Which models may compute now: at most one a core. Pure: events in, effects out.

Two models that generate on one core each run at less than half their speed, so a model takes a core with the first
of its requests and gives it back with the last. Where others wait for a core, a model that has had its turn takes
no newcomers, who stand in the line with the others; so everybody comes round, after a turn and what was begun in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Holder:
    """A model on a core, since when, and its requests there."""

    since: float
    tickets: set[int] = field(default_factory=set)


class Turns:
    """The cores, who is on them, and the line for them. Events answer with the tickets that may go now."""

    def __init__(self, cores: int, turn_sec: float) -> None:
        self._cores = cores
        self._turn_sec = turn_sec
        self._holders: dict[str, _Holder] = {}
        self._line: dict[str, list[int]] = {}  # in the order in which the models came

    def wanted(self, ticket: int, model: str, now: float) -> list[int]:
        """A request wants to compute with `model`."""
        holder = self._holders.get(model)
        if holder is not None and not self._must_yield(model, holder, now):
            holder.tickets.add(ticket)
            return [ticket]
        self._line.setdefault(model, []).append(ticket)
        return self._advance(now)

    def left(self, ticket: int, model: str, now: float) -> list[int]:
        """A request is done, or waits no longer."""
        holder = self._holders.get(model)
        if holder is not None and ticket in holder.tickets:
            holder.tickets.remove(ticket)
            if not holder.tickets:
                del self._holders[model]
        elif ticket in self._line.get(model, ()):
            self._line[model].remove(ticket)
            if not self._line[model]:
                del self._line[model]
        return self._advance(now)

    def waiting(self, model: str) -> int:
        """How many wait for a core with `model`."""
        return len(self._line.get(model, ()))

    def _must_yield(self, model: str, holder: _Holder, now: float) -> bool:
        """Whether a model has had its turn while as many others wait that its core is needed."""
        if now - holder.since < self._turn_sec:
            return False
        strangers = sum(1 for other in self._line if other not in self._holders)
        oldest = sorted(self._holders, key=lambda one: self._holders[one].since)[:strangers]
        return model in oldest

    def _advance(self, now: float) -> list[int]:
        """Give free cores to the first in the line; let those go on after all who need not yield any more."""
        going: list[int] = []
        for model in tuple(self._line):
            holder = self._holders.get(model)
            if holder is None and len(self._holders) < self._cores:
                holder = self._holders[model] = _Holder(now)
            elif holder is None or self._must_yield(model, holder, now):
                continue
            tickets = self._line.pop(model)
            holder.tickets.update(tickets)
            going += tickets
        return going
