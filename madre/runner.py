"""What the flows know of whatever runs plans, and what that knows of plans.

A plan is named by its id alone: its steps are rows, which are complete before it is started. The runner keeps nothing
but which calls of `Work` have returned, so that after a death it makes the next one, and none of those again.
"""

from __future__ import annotations

from typing import Protocol


class Runner(Protocol):
    """Runs plans, each step of each one once to its end, whatever is killed meanwhile."""

    def prepare(self) -> None:
        """A plan may be started soon: whatever is needed for that gets ready meanwhile."""

    async def start(self, plan_id: str) -> None:
        """Have the plan run; to be said once its rows are committed. Starting it again changes nothing."""

    async def cancel(self, plan_id: str) -> None:
        """Have no further step of the plan begin; one that is under way is interrupted. Unknown or over: nothing."""


class Work(Protocol):
    """A plan's work, cut where a runner may be killed. Called in threads, for each plan one call after another.

    A call that returned is not made again; one that was cut short is made again from its beginning.
    """

    def unfinished(self) -> list[str]:
        """The plans that are to run and are not over."""

    def begin(self, plan_id: str) -> list[int]:
        """The numbers of the plan's steps in their order, none where there is nothing to do."""

    def step(self, plan_id: str, number: int) -> bool:
        """Do one step; whether the plan goes on after it."""

    def to_undo(self, plan_id: str) -> list[int]:
        """Of a plan that went no further: the steps to take back, the last one first."""

    def undo(self, plan_id: str, number: int) -> bool:
        """Take one step back; whether that could be done."""

    def end(self, plan_id: str) -> bool:
        """Let go of what the plan held and say how it ended; whether it ended well."""

    def abandon(self, plan_id: str, why: str) -> None:
        """Say that the plan ended because it could not be run; nothing where it is over."""

    def cancel(self, plan_id: str) -> None:
        """Have no further step begin, and cut short the one that is under way."""

    def interrupt(self) -> None:
        """Cut short what every plan is doing, because the process ends: their calls raise `Interrupted`."""


class Interrupted(BaseException):
    """The process ends while a step is under way: nothing of the step may be recorded, it will be done again."""


def effect_key(plan_id: str, number: int) -> str:
    """What an effect of a step is known by wherever it is made, so that made again it is still one (`plan-…:1`)."""
    return f"{plan_id}:{number}"
