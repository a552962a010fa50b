"""Bringing about what a step is for: on madre's event loop, while the runner's thread waits for it.

An effect has what it needs awake around it, is tried again while a peer cannot be had, and can be cut short: one
plan's because somebody cancelled it, or all because the process ends. Then nothing may be recorded of it. One that came
to nothing is asked to end what it may have left going on.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from config.app import House
from config.contracts.plans import Fault
from config.errors import Conflict, ModelFailed, PeerTimeout, StillAtWork, Unavailable, VX11Error
from config.logs import correlation_id
from madre.flows.executors.order import Executor, Order, Outside, Result
from madre.flows.plan_windows import PlanWindows
from madre.runner import Interrupted

BUG = Fault(code="internal", detail="The action ended with an error of its own; the log has the rest.")
_TRIES = 4  # in a row, of an effect whose peer cannot be had for the moment
_IN_USE_SEC = 300.0  # so long a step waits for what others use
_SURELY_AT_WORK_SEC = 35.0  # longer than a peer keeps a key whose first request died (config/idempotency.py)
_PAUSE_SEC = 1.0
_RESULT_MAX = 32_768
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an effect ended: with a result, with a fault, or because somebody wanted it to end."""

    result: Result | None = None
    fault: Fault | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it was made to end."""
        return self.result is None and self.fault is None


class Effects:
    """What is under way on the loop for the threads of the runner."""

    def __init__(self, house: House, windows: PlanWindows) -> None:
        self._house = house
        self._windows = windows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: dict[asyncio.Task[Outcome], str | None] = {}  # whose it is; known to the loop's thread alone
        self._unwanted: set[str] = set()
        self._is_ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have this loop be the one that effects run on, while the block does."""
        self._loop, self._is_ending = asyncio.get_running_loop(), False
        self._unwanted.clear()
        yield

    def bring_about(self, order: Order, executor: Executor, *, for_good: bool = False) -> Outcome:
        """How the effect of `order` ended; cut short where somebody cancels its plan, unless it is `for_good`."""
        assert executor.act is not None
        order.is_begun = order.attempt > 1 or bool(order.noted)
        effect = self._tried(order, executor.act, executor.needs)
        return self._waited_for(effect, None if for_good else order.plan_id)

    def stop(self, order: Order, executor: Executor) -> None:
        """End what an effect that came to nothing, cut short or failed, may have left going on."""
        if executor.stop is not None and order.is_begun:
            order.got_on()
            self._waited_for(self._stopped(order, executor.stop, executor.needs), None)

    def cut(self, plan_id: str | None) -> None:
        """Cut short what is under way for a plan, and whatever it begins after; None: of all, for the process ends."""
        if plan_id is None:
            self._is_ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cut, plan_id)

    def must_go_on(self) -> None:
        """Interrupted once the process ends; for who waits for something else than an effect."""
        if self._is_ending:
            raise Interrupted

    def forget(self, plan_id: str) -> None:
        """The plan is over."""
        self._unwanted.discard(plan_id)

    def _cut(self, plan_id: str | None) -> None:
        if plan_id is not None:
            self._unwanted.add(plan_id)
        for task, whose in self._under_way.items():
            if plan_id is None or whose == plan_id:
                task.cancel()

    def _waited_for(self, effect: Coroutine[Any, Any, Outcome], whose: str | None) -> Outcome:
        """What `effect` comes to on the loop. Interrupted when it was cut because the process ends.

        It has a context of its own: what DBOS keeps in that of its thread is none of an effect's business.
        """
        assert self._loop is not None
        context = contextvars.Context()
        context.run(correlation_id.set, correlation_id.get())
        outcome = context.run(asyncio.run_coroutine_threadsafe, self._followed(effect, whose), self._loop).result()
        if outcome.is_cut and self._is_ending:
            raise Interrupted
        return outcome

    async def _followed(self, effect: Coroutine[Any, Any, Outcome], whose: str | None) -> Outcome:
        if self._is_ending or whose in self._unwanted:
            effect.close()
            return Outcome()
        task = asyncio.ensure_future(effect)
        self._under_way[task] = whose
        try:
            return await task
        except asyncio.CancelledError:
            return Outcome()
        finally:
            del self._under_way[task]

    async def _tried(self, order: Order, act: Outside, needs: tuple[str, ...]) -> Outcome:
        """The effect, with what it needs awake held around it; tried again while a peer cannot be had."""
        while True:
            try:
                async with self._windows.awake(order.plan_id, needs, order.caller):
                    order.is_begun = True
                    return Outcome(bounded(await act(order)))
            except VX11Error as error:
                if not _may_pass(error, order, self._house.clock.monotonic()):
                    return Outcome(fault=fault_of(error))
                await asyncio.sleep(error.retry_after_sec or _PAUSE_SEC)
            except Exception:  # border: whatever an action's own code lets slip ends the step, not the runner
                _log.exception("step %s of plan %s", order.number, order.plan_id)
                return Outcome(fault=BUG)

    async def _stopped(self, order: Order, stop: Outside, needs: tuple[str, ...]) -> Outcome:
        outcome = await self._tried(order, stop, needs)
        if outcome.fault is not None:
            why = outcome.fault.detail
            _log.warning("what step %s of plan %s began may go on: %s", order.number, order.plan_id, why)
            with suppress(VX11Error):
                await order.note(may_go_on=why)
        return outcome


def fault_of(error: VX11Error) -> Fault:
    """An error of the tree as a step keeps it."""
    return Fault(code=error.code, detail=error.detail)


def bounded(result: Result) -> Result:
    """The result as a row keeps it: without what makes it too large, and then saying so."""
    size = len(json.dumps(result))
    if size <= _RESULT_MAX:
        return result
    small = {name: value for name, value in result.items() if len(json.dumps(value)) <= _RESULT_MAX // 16}
    return {**small, "left_out": sorted(set(result) - set(small)), "bytes": size}


def _may_pass(error: VX11Error, order: Order, now: float) -> bool:
    """Whether trying again may help: the peer is away for a moment, or refuses for as long as something is at work."""
    if isinstance(error, Conflict):
        return error.retry_after_sec is not None and _may_be_over(error, order.refused_for(now), order)
    order.was_missed()
    return isinstance(error, Unavailable | PeerTimeout) and not isinstance(error, ModelFailed) and order.misses < _TRIES


def _may_be_over(refusal: Conflict, refused_sec: float, order: Order) -> bool:
    """Whether a refusal may be over if it is waited for. Who refuses is not away, with one exception: the key of a
    request that its peer died of is refused for a while, and must not make good the deaths that it is tried again with.

    What the step itself asked for is waited for as long as the peer says that it is at work.
    """
    is_own = isinstance(refusal, StillAtWork)
    if not is_own or refused_sec > _SURELY_AT_WORK_SEC:
        order.misses = 0
    return is_own or refused_sec < _IN_USE_SEC
