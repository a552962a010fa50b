"""What an executor is given, and what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from config.auth import Caller
from madre.actions import Action, Arguments

T = TypeVar("T")
Result = dict[str, Any]
Note = Callable[[Result], Awaitable[None]]
_FIRST_LOOK_SEC = 0.1
_LONGEST_LOOK_SEC = 2.0


@dataclass(slots=True)
class Order:
    """One step, as it is to be done: `caller` is whose rights it is done with, `key` what its effect is known by.

    `attempt` counts from 1; a later one follows a death in the middle of the one before, and finds in `noted` what that
    one had noted of itself. An executor that has started something which goes on without it notes that at once.

    `is_begun` is whether anything of it may have been done, by this life or an earlier one; `misses` are the times in
    a row that a peer could not be had, `refused_since` is when it began to say that something is in the way.
    """

    plan_id: str
    number: int
    action: Action
    arguments: Arguments
    caller: Caller
    key: str
    attempt: int
    session_id: str | None
    noted: Result = field(default_factory=dict)
    keep: Note | None = None
    is_begun: bool = True
    misses: int = 0
    refused_since: float | None = None

    async def note(self, **facts: Any) -> None:
        """Have these facts survive a death, from now on."""
        self.noted = {**self.noted, **facts}
        if self.keep is not None:
            await self.keep(self.noted)
        self.got_on()

    def got_on(self) -> None:
        """It came further: what failed before that counts no more, an effect may take hours."""
        self.misses, self.refused_since = 0, None

    def was_missed(self) -> None:
        """A peer could not be had once more; what it refused before counts no more."""
        self.misses, self.refused_since = self.misses + 1, None

    def refused_for(self, now: float) -> float:
        """The seconds since a peer that could be had began to refuse."""
        self.refused_since = now if self.refused_since is None else self.refused_since
        return now - self.refused_since

    def told(self, kind: type[T]) -> T:
        """The arguments, as the action's own type."""
        assert isinstance(self.arguments, kind)
        return self.arguments


Outside = Callable[[Order], Awaitable[Result]]
Inside = Callable[[Session, Order], Result]


@dataclass(frozen=True, slots=True)
class Executor:
    """How one action is done.

    Either `act`, which may take its time and speaks with others, or `within`, whose effect is rows of madre's own and
    is made in the very transaction that says the step is done. `needs` are the services that must be awake for it.
    `stop` ends what an `act` that was cut short or failed has left going on or lying about. It is called whenever an
    `act` may have begun and came to nothing, so it looks first.
    """

    act: Outside | None = None
    within: Inside | None = None
    needs: tuple[str, ...] = ()
    stop: Outside | None = None


Executors = Mapping[str, Executor]


async def until(order: Order, look: Callable[[], Awaitable[T]], is_over: Callable[[T], bool]) -> T:
    """The first thing that `look` gives which is over; asked often at first, then every two seconds."""
    pause = _FIRST_LOOK_SEC
    while not is_over(seen := await look()):
        order.got_on()
        await asyncio.sleep(pause)
        pause = min(_LONGEST_LOOK_SEC, pause * 1.5)
    return seen


async def whole(work: Awaitable[T]) -> T:
    """What `work` comes to; who is cut short meanwhile ends after it, so that it is known to have been done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
