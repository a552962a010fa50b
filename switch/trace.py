"""One request from its arrival to its end: who wanted it, who was asked, what came of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from switch.account import Account
from switch.chat_answer import ignored_by_programs
from switch.orders import Asker, Order
from switch.ranking import Choice, Standing, Wish


@dataclass(frozen=True, slots=True)
class Occasion:
    """By which call a request came: `kind` chat, completion, embedding, route, task or advice. `row_id` is the id of
    the row of its life where it was told already, `has_row` whether that row is there."""

    kind: str
    task_type: str
    session_id: str | None = None
    source: str | None = None
    row_id: str | None = None
    has_row: bool = False
    tells_waiting: bool = True


@dataclass(slots=True)
class Trace:
    """Everything rows are made of. `failed`: the engines that were asked and did not answer, with the error's code."""

    order: Order
    asker: Asker
    wish: Wish
    occasion: Occasion
    account: Account
    at: datetime
    correlation_id: str
    choice: Choice | None = None
    chosen: Standing | None = None
    started_at: datetime | None = None
    cost: float | None = None
    failed: list[tuple[Standing, str]] = field(default_factory=list)

    @property
    def decision(self) -> str:
        """Why the chosen one answers, in one sentence."""
        reason = self.choice.reason if self.choice else "nobody could be chosen"
        if self.chosen and self.chosen.offer.kind == "program" and (ignored := ignored_by_programs(self.order.request)):
            reason += f"; a program, it ignores {', '.join(ignored)}"
        if not self.failed:
            return reason
        before = ", ".join(f"{standing.offer.engine} failed ({code})" for standing, code in self.failed)
        return f"fallback: {before}; first choice was {reason}"

    @property
    def fallback_from(self) -> str | None:
        """The engine that was to answer and did not."""
        if self.failed:
            return self.failed[0][0].offer.engine
        named, chosen = self.wish.model, self.chosen
        return named if named and chosen and chosen.offer.model != named else None

    @property
    def outcome(self) -> str:
        """`ok`, or what came in between."""
        return self.account.outcome
