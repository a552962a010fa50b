"""Actions that hermes does: the model registry."""

from __future__ import annotations

from contextlib import suppress

from config.contracts.models import DownloadJob, ModelPatch
from config.errors import Conflict, NotFound, VX11Error, error_class
from config.logs import correlation_id
from madre.actions.models import Discover, OneModel, PullModel, Scan
from madre.clients import Hermes
from madre.flows.executors.order import Executor, Executors, Order, Result, until, whole
from madre.undo import CHANGED

_SHOWN = 100


class HermesActs:
    """One method an action."""

    def __init__(self, hermes: Hermes) -> None:
        self._hermes = hermes

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        awake = ("hermes",)
        return {
            "models.list": Executor(self.list, needs=awake),
            "models.pull": Executor(self.pull, needs=awake, stop=self.stop_pull),
            "models.enable": Executor(self.enable, needs=awake, stop=self.switch_back),
            "models.disable": Executor(self.disable, needs=awake, stop=self.switch_back),
            "models.delete": Executor(self.delete, needs=awake),
            "hermes.scan": Executor(self.scan, needs=awake),
            "hermes.discover": Executor(self.discover, needs=awake),
        }

    async def list(self, order: Order) -> Result:
        """The registered models, newest first."""
        page = await self._hermes.models(order.caller, _SHOWN)
        shown = [
            {"name": model.name, "task_type": model.task_type, "enabled": model.enabled, "size_bytes": model.size_bytes}
            for model in page.items
        ]
        return {"models": shown, "more": page.next_cursor is not None}

    async def pull(self, order: Order) -> Result:
        """Bring a model here, and wait until it is."""
        told = order.told(PullModel)
        job_id = order.noted.get("job_id")
        if job_id is None:
            job_id = (await self._hermes.pull(told.model, told.source, order.caller, order.key)).job_id
            await order.note(job_id=job_id)
        job = await until(order, lambda: self._hermes.job(job_id, order.caller), _is_over)
        if job.state != "DONE":
            raise _failure(job)
        return {"job_id": job.job_id, "model": job.name, "bytes": job.bytes_done}

    async def stop_pull(self, order: Order) -> Result:
        """Stop a download that was begun; what has arrived is kept for the next one.

        Where none has a name here, hermes says whether there is one. One that somebody else had begun is theirs: a
        pull of the same file only joins it.
        """
        job = await self._begun(order)
        if job is not None and not _is_over(job) and correlation_id.get() in ("", job.correlation_id):
            with suppress(Conflict):  # it came to its end meanwhile
                await self._hermes.cancel(job.job_id, order.caller)
        return {}

    async def enable(self, order: Order) -> Result:
        """Let a model be used."""
        return await self._switched(order, True)

    async def disable(self, order: Order) -> Result:
        """Keep a model from being used."""
        return await self._switched(order, False)

    async def switch_back(self, order: Order) -> Result:
        """Leave a model as it was before."""
        name, before = order.told(OneModel).model, order.noted.get("before")
        if before is not None and (await self._hermes.model(name, order.caller)).enabled != before:
            await self._hermes.patch(name, ModelPatch(enabled=before), order.caller)
        return {}

    async def delete(self, order: Order) -> Result:
        """Delete a model and its file."""
        name = order.told(OneModel).model
        try:
            await self._hermes.delete(name, order.caller)
        except NotFound:
            if order.attempt == 1:
                raise
        return {"model": name}

    async def scan(self, order: Order) -> Result:
        """Look through the models folder; asked again with the step's key, it is the report of the same look."""
        report = await self._hermes.scan(order.told(Scan).verify, order.caller, order.key)
        return report.model_dump(mode="json")

    async def discover(self, order: Order) -> Result:
        """Look for models and programs; nothing is taken on, so a look more after a death leaves nothing else."""
        found = await self._hermes.discover(order.told(Discover).query, order.caller)
        tiers = [
            {"tier": tier.tier, "state": tier.state, "found": [item.key for item in tier.items[:_SHOWN]]}
            for tier in found.tiers
        ]
        return {"digest": found.digest, "tiers": tiers}

    async def _begun(self, order: Order) -> DownloadJob | None:
        if "job_id" in order.noted:
            return await self._hermes.job(order.noted["job_id"], order.caller)
        told = order.told(PullModel)
        return await self._hermes.begun(told.model, told.source, order.caller, order.key)

    async def _switched(self, order: Order, enabled: bool) -> Result:
        name = order.told(OneModel).model
        if "before" not in order.noted:  # what it was must be known before it is changed
            await order.note(before=(await self._hermes.model(name, order.caller)).enabled)
        before = order.noted["before"]
        if before != enabled:
            await whole(self._hermes.patch(name, ModelPatch(enabled=enabled), order.caller))
        return {"model": name, "enabled": enabled, CHANGED: before != enabled}


def _is_over(job: DownloadJob) -> bool:
    return job.state not in ("PENDING", "RUNNING")


def _failure(job: DownloadJob) -> VX11Error:
    """Why a download did not come to its end, in the words hermes has for it."""
    error = job.error
    kind = error_class(error.code) if error else None
    if error is None or kind is None:
        return NotFound(f"The download {job.job_id} ended in {job.state}.")
    return kind(error.detail, hint=error.hint)
