"""What the flows know of whatever runs plans, and what that knows of plans.

A plan is named by its id alone: its steps are rows, which are complete before it is started, and say of each step
whether it is over in the transaction that made it so. The runner keeps only which plans it has in hand, so that after
a death it takes them up again; where each one stood, their rows tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class Next(StrEnum):
    """What follows a step."""

    ON = "on"  # the step after it
    STOP = "stop"  # no further step: what was done is taken back where that can be
    LATER = "later"  # nothing yet: its moment has not come


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

    Whoever is killed begins the plan anew in their next life. What was over then is not done again, because `begin`
    and `to_undo` leave it out; a call that was cut short is made again from its beginning.
    """

    def to_run(self) -> Mapping[str, float]:
        """The plans that are to run and are not over, each with the seconds until there is something to do in it."""

    def begin(self, plan_id: str) -> list[int]:
        """The numbers of the steps that are left to do, in their order."""

    def step(self, plan_id: str, number: int) -> Next:
        """Do one step; what follows it."""

    def to_undo(self, plan_id: str) -> list[int]:
        """Of a plan that goes no further: the steps to take back, the last one first."""

    def undo(self, plan_id: str, number: int) -> None:
        """Take one step back, if that can be done."""

    def end(self, plan_id: str) -> None:
        """Let go of what the plan held and say how it ended."""

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
