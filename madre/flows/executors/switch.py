"""Actions that switch does: models in memory, prompts, the engine mode."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from config.contracts.prompts import TaskState
from config.errors import Conflict, ModelFailed, NotFound, VX11Error, error_class
from madre.actions.models import Ask, LoadModel, OneModel, SetMode
from madre.clients import Switch
from madre.flows.executors.order import Executor, Executors, Order, Result, until
from madre.undo import CHANGED

_IN_MEMORY = ("loading", "ready")
_GONE_IS_NOTICED_SEC = (0.0, 0.2, 0.8)  # when Switch may have heard that the step waits for its load no longer


class SwitchActs:
    """One method an action."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        awake = ("switch",)
        return {
            "models.load": Executor(self.load, needs=awake, stop=self.stop_load),
            "models.unload": Executor(self.unload, needs=awake),
            "switch.ask": Executor(self.ask, needs=awake, stop=self.stop_asking),
            "switch.set_mode": Executor(self.set_mode, needs=awake),
        }

    async def load(self, order: Order) -> Result:
        """Have a model in memory; waits until it is."""
        told = order.told(LoadModel)
        was_there = await self._was_loaded(told.model, order)
        model = await self._switch.load(told.model, told.ttl_sec, order.caller)
        return {"model": model.name, "stage": model.stage, "reserved_mb": model.reserved_mb, CHANGED: not was_there}

    async def stop_load(self, order: Order) -> Result:
        """Have Switch drop a model that was not loaded before. Nobody is waited for: one that still loads goes when it
        has loaded, and what others use or wait for is theirs, and goes when it was idle for long enough.
        """
        name = order.told(LoadModel).model
        if order.noted.get("before") is False:
            for pause_sec in _GONE_IS_NOTICED_SEC:
                await asyncio.sleep(pause_sec)
                if await self._is_dropped(name, order):
                    break
        return {}

    async def _is_dropped(self, name: str, order: Order) -> bool:
        """Whether a model was given back, or is others'; who waits for a load may still be the step itself."""
        stage = await self._stage(name, order)
        if stage in _IN_MEMORY:
            try:
                await self._switch.unload(name, order.caller)
            except Conflict:
                return stage == "ready"
        return True

    async def unload(self, order: Order) -> Result:
        """Give a model's memory back."""
        name = order.told(OneModel).model
        was_there = await self._was_loaded(name, order)
        model = await self._switch.unload(name, order.caller)
        return {"model": model.name, "stage": model.stage, CHANGED: was_there}

    async def ask(self, order: Order) -> Result:
        """Have a prompt answered: as a task with the step's key, so that asked again it is the same one.

        It goes on when madre ends, because her next life waits for the answer; only `stop_asking` ends it.
        """
        told = order.told(Ask)
        task_id = order.noted.get("task_id")
        if task_id is None:
            ticket = await self._switch.put_task(told.prompt, told.model, order.caller, order.key)
            task_id = ticket.task_queue_id
            await order.note(task_id=task_id)
        task = await until(order, lambda: self._switch.task(task_id, order.caller), _is_over)
        if task.status != "DONE":
            raise _failure(task)
        return {"reply": task.reply, "model": task.model, "provider": task.provider, "decision": task.decision}

    async def stop_asking(self, order: Order) -> Result:
        """End the task that nobody will read; where none has a name here, switch says whether there is one."""
        told, task_id = order.told(Ask), order.noted.get("task_id")
        if task_id is None:
            begun = await self._switch.begun_task(told.prompt, told.model, order.caller, order.key)
            task_id = None if begun is None else begun.task_queue_id
        if task_id is not None:
            with suppress(NotFound):  # it was over for so long that its row is gone
                await self._switch.cancel_task(task_id, order.caller)
        return {}

    async def set_mode(self, order: Order) -> Result:
        """Set the engine mode, or have the load decide again."""
        answer = await self._switch.set_mode(order.told(SetMode).mode, order.caller)
        return {"mode": answer.mode, "by_hand": answer.by_hand}

    async def _was_loaded(self, name: str, order: Order) -> bool:
        """Whether the model was in memory before the step; kept, because afterwards nobody can tell."""
        if "before" not in order.noted:
            await order.note(before=await self._stage(name, order) in _IN_MEMORY)
        return bool(order.noted["before"])

    async def _stage(self, name: str, order: Order) -> str | None:
        served = await self._switch.models(order.caller)
        return next((model.stage for model in served.models if model.name == name), None)


def _is_over(task: TaskState) -> bool:
    return task.status not in ("QUEUED", "RUNNING")


def _failure(task: TaskState) -> VX11Error:
    """Why a prompt was not answered, in the words switch has for it."""
    error = task.error or {}
    kind = error_class(str(error.get("code"))) or ModelFailed
    return kind(str(error.get("detail") or f"The prompt ended in {task.status}."))
