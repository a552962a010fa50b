"""What the flows know of whatever runs plans: they start one and cancel one, and read the rows.

A plan is named by its id alone: its steps are rows, which are complete before it is started.
"""

from __future__ import annotations

from typing import Protocol


class Runner(Protocol):
    """Runs plans, each step of each one at most once to its end, whatever is killed meanwhile."""

    async def start(self, plan_id: str) -> None:
        """Have the plan run; to be said once its rows are committed. Starting it again changes nothing."""

    async def cancel(self, plan_id: str) -> None:
        """Have no further step of the plan begin; one that is under way is interrupted. Unknown or over: nothing."""


def effect_key(plan_id: str, number: int) -> str:
    """What an effect of a step is known by wherever it is made, so that made again it is still one (`plan-…:1`)."""
    return f"{plan_id}:{number}"
