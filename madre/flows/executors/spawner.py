"""Actions that spawner does: daughter tasks."""

from __future__ import annotations

from config.contracts.spawning import LIVE_STATUSES, JobDetail, Limits, SpawnOrder, TaskType
from config.errors import Conflict
from madre.actions.tasks import OneTask, RunCode
from madre.clients import Spawner
from madre.flows.executors.order import Executor, Executors, Order, Result, until

_SHOWN = 50
_TYPES: dict[str, TaskType] = {"task.run_python": "python", "task.run_shell": "shell"}


class SpawnerActs:
    """One method an action."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        awake = ("spawner",)
        return {
            "task.run_python": Executor(self.run, needs=awake, stop=self.stop),
            "task.run_shell": Executor(self.run, needs=awake, stop=self.stop),
            "task.list": Executor(self.list, needs=awake),
            "task.show": Executor(self.show, needs=awake),
            "task.kill": Executor(self.kill, needs=awake),
        }

    async def run(self, order: Order) -> Result:
        """Run a Python program or a shell command, and wait for its end."""
        task_id = order.noted.get("task_id")
        if task_id is None:
            task_id = (await self._spawner.spawn(_order(order), order.caller, order.key)).spawn_id
            await order.note(task_id=task_id)
        job = await until(order, lambda: self._spawner.job(task_id, order.caller), _is_over)
        if job.status != "DONE":
            said = f" Its last words: {job.output_tail[-500:]}" if job.output_tail else ""
            raise Conflict(f"The task {job.spawn_id} ended in {job.status}: {job.error or 'no reason given'}.{said}")
        return _shown(job)

    async def stop(self, order: Order) -> Result:
        """End the daughter that was begun; where none has a name here, spawner says whether there is one."""
        task_id = order.noted.get("task_id")
        if task_id is None:
            begun = await self._spawner.begun(_order(order), order.caller, order.key)
            task_id = None if begun is None else begun.spawn_id
        if task_id is not None and not _is_over(await self._spawner.job(task_id, order.caller)):
            await self._spawner.kill(task_id, order.caller)
        return {}

    async def list(self, order: Order) -> Result:
        """Daughter tasks, newest first."""
        page = await self._spawner.jobs(order.caller, _SHOWN)
        shown = [{"task_id": job.spawn_id, "name": job.name, "status": job.status} for job in page.items]
        return {"tasks": shown, "more": page.next_cursor is not None}

    async def show(self, order: Order) -> Result:
        """One daughter task."""
        return _shown(await self._spawner.job(order.told(OneTask).task_id, order.caller))

    async def kill(self, order: Order) -> Result:
        """End a daughter task and all its processes."""
        job = await self._spawner.kill(order.told(OneTask).task_id, order.caller)
        return {"task_id": job.spawn_id, "status": job.status}


def _is_over(job: JobDetail) -> bool:
    return job.status not in LIVE_STATUSES


def _order(order: Order) -> SpawnOrder:
    told = order.told(RunCode)
    return SpawnOrder(
        task_type=_TYPES[order.action.name],
        code=told.code,
        name=f"step {order.number} of {order.plan_id}",
        ttl_seconds=told.ttl_seconds,
        max_retries=told.max_retries,
        limits=Limits(memory_mb=told.memory_mb),
        network=told.network,
        dry_run=told.dry_run,
        metadata={"plan_id": order.plan_id, "step": order.number},
    )


def _shown(job: JobDetail) -> Result:
    changed = None if job.changed_files is None else [file.model_dump(mode="json") for file in job.changed_files]
    return {
        "task_id": job.spawn_id,
        "status": job.status,
        "exit_code": job.exit_code,
        "isolation": job.isolation,
        "output": job.output_tail,
        "changed_files": changed,
    }
