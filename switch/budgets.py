"""Money: what an answer costs, and what a provider may still cost today and this month (UTC). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_MILLION = 1_000_000
_ANSWER_TOKENS = 500  # what an answer without a limit is taken to have, until it is there


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency the budgets are in."""

    per_million_in: float = 0.0
    per_million_out: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What that many tokens cost."""
        return (prompt_tokens * self.per_million_in + completion_tokens * self.per_million_out) / _MILLION

    def guess(self, prompt_tokens: int, max_tokens: int | None, n: int = 1) -> float:
        """What a request will cost at most by its own limit, or about, where it has none."""
        return self.cost(prompt_tokens, (max_tokens or _ANSWER_TOKENS) * n)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a provider may cost; None is no limit."""

    day: float | None = None
    month: float | None = None


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A budget that is spent, and when it begins anew."""

    reason: str
    resets_at: datetime


@dataclass(slots=True)
class Spending:
    """What one provider has cost: by day (`YYYY-MM-DD`), and what requests under way are expected to cost."""

    by_day: dict[str, float] = field(default_factory=dict)
    held: float = 0.0

    def spent(self, now: datetime, cost: float) -> None:
        """Money is gone."""
        day = day_of(now)
        self.by_day[day] = self.by_day.get(day, 0.0) + cost
        month = day[:7]
        self.by_day = {one: sum_ for one, sum_ in self.by_day.items() if one.startswith(month)}

    def of_day(self, now: datetime) -> float:
        """Spent today, and held for requests under way."""
        return self.by_day.get(day_of(now), 0.0) + self.held

    def of_month(self, now: datetime) -> float:
        """Spent this month, and held for requests under way."""
        month = day_of(now)[:7]
        return sum(cost for day, cost in self.by_day.items() if day.startswith(month)) + self.held

    def exhausted(self, budget: Budget, now: datetime) -> Exhausted | None:
        """The budget that forbids another request; of two, the one that lasts longer."""
        if budget.month is not None and self.of_month(now) >= budget.month:
            return Exhausted(f"its budget of {budget.month:g} a month is spent", _next_month(now))
        if budget.day is not None and self.of_day(now) >= budget.day:
            return Exhausted(f"its budget of {budget.day:g} a day is spent", _next_day(now))
        return None

    def left(self, budget: Budget, now: datetime) -> float:
        """The share of the tighter budget that is left, 0 to 1; 1 without budgets."""
        shares = [
            max(0.0, 1 - spent / limit) if limit else 0.0
            for limit, spent in ((budget.day, self.of_day(now)), (budget.month, self.of_month(now)))
            if limit is not None
        ]
        return min(shares, default=1.0)


def day_of(now: datetime) -> str:
    """The day (UTC) of a moment, as `YYYY-MM-DD`."""
    return now.astimezone(UTC).date().isoformat()


def _next_day(now: datetime) -> datetime:
    return _midnight(now) + timedelta(days=1)


def _next_month(now: datetime) -> datetime:
    return (_midnight(now).replace(day=1) + timedelta(days=32)).replace(day=1)


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
