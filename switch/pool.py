"""The shell around `lifecycle.py`: carries its effects out with real worker processes.

All of it runs on the event loop's one thread, which is what makes the lifecycle the single owner of its
state: every event is one synchronous call, and its effects are under way before the next event comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from config.app import House
from config.contracts.events import Severity
from config.errors import ModelFailed, VX11Error
from switch.adapters.sockets import SocketFolder
from switch.adapters.worker import Program, Worker
from switch.choose import ModelFile, context_of, need_mb
from switch.lifecycle import Effect, Grant, Lifecycle, Limits, Refuse, Start, Stop
from switch.residence import Model
from switch.threads import threads_for
from switch.worker.spec import WorkerSpec

_log = logging.getLogger(__name__)
_KV_CONVERSATIONS = 2  # whole conversations that fit into the shared KV memory; more share it while they are short
_KEPT_SEQUENCES, _KEPT_TOKENS = 4, 512  # what a model keeps at hand of finished conversations (decision 0009)
_REASON_CHARACTERS = 500


@dataclass(slots=True)
class _Slot:
    """What belongs to one model outside the lifecycle's own state."""

    file: ModelFile
    worker: Worker | None = None
    progress: float | None = None
    loading: asyncio.Task[None] | None = None
    extra_bufts: bool = True  # False once a worker has crashed with them and come up without


class Pool:
    """Gives models to requests, and takes them back. `program` is what a worker process runs."""

    def __init__(self, house: House, limits: Limits, *, program: Program | None = None) -> None:
        self._house = house
        self._program = program or Program()
        self._lifecycle = Lifecycle(limits)
        self._limits = limits
        self._slots: dict[str, _Slot] = {}
        self._sockets = SocketFolder(house.settings.runtime_path)
        self._tickets: dict[int, asyncio.Future[VX11Error | None]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    @property
    def budget_mb(self) -> int:
        """The memory budget for all models, MiB."""
        return self._limits.budget_mb

    @property
    def reserved_mb(self) -> int:
        """The part of the budget that is taken, MiB."""
        return self._lifecycle.reserved_mb

    def models(self) -> list[Model]:
        """Every model the pool has dealt with."""
        return self._lifecycle.models()

    def progress(self, name: str) -> float | None:
        """How far a loading model is, 0 to 1."""
        slot = self._slots.get(name)
        return slot.progress if slot else None

    async def memory_mb(self, name: str) -> float | None:
        """The measured size of a loaded model's worker, MiB."""
        slot = self._slots.get(name)
        return await slot.worker.memory_mb() if slot and slot.worker else None

    @contextlib.asynccontextmanager
    async def use(self, file: ModelFile) -> AsyncIterator[Worker]:
        """The worker of `file`'s model for the length of the block; waits until it is loaded.

        Raises what the lifecycle refuses with: cooling after a failure, does not fit, too many wait.
        """
        ticket = next(self._numbers)
        await self._granted(ticket, file)
        slot = self._slots[file.name]
        try:
            if slot.worker is None:
                raise ModelFailed(f"{file.name} ended just now.", retry_after_sec=1)
            yield slot.worker
        finally:
            self._carry_out(self._lifecycle.released(ticket, file.name, self._now()))

    async def _granted(self, ticket: int, file: ModelFile) -> None:
        slot = self._slots.setdefault(file.name, _Slot(file))
        if slot.worker is None:
            slot.file = file
        turn: asyncio.Future[VX11Error | None] = asyncio.get_running_loop().create_future()
        self._tickets[ticket] = turn
        need = need_mb(file, self._kv_tokens(file), self._house.settings.switch.prefix_ram_mb)
        self._carry_out(self._lifecycle.wanted(ticket, file.name, need, self._now()))
        try:
            refusal = await turn
        except asyncio.CancelledError:
            self._carry_out(self._lifecycle.gave_up(ticket, file.name, self._now()))
            raise
        finally:
            self._tickets.pop(ticket, None)
        if refusal is not None:
            raise refusal

    def unload(self, name: str) -> bool:
        """Stop an idle model now; False when it is busy or not loaded."""
        effects = self._lifecycle.unload(name)
        self._carry_out(effects)
        return bool(effects)

    async def tick(self) -> None:
        """Let idle models go to sleep; called every second."""
        self._carry_out(self._lifecycle.tick(self._now()))

    async def close(self) -> None:
        """End every worker; called when the service stops."""
        self._is_closing = True
        leaving = [slot.worker for slot in self._slots.values() if slot.worker is not None]
        for slot in self._slots.values():
            slot.worker = None
            if slot.loading is not None:
                slot.loading.cancel()
        await asyncio.gather(*self._tasks, *(worker.stop() for worker in leaving), return_exceptions=True)
        self._sockets.remove()

    def _now(self) -> float:
        return self._house.clock.monotonic()

    def _kv_tokens(self, file: ModelFile) -> int:
        settings = self._house.settings.switch
        return context_of(file, settings.context_tokens) * min(_KV_CONVERSATIONS, settings.parallel)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Grant(ticket):
                    self._settle(ticket, None)
                case Refuse(ticket, error):
                    self._settle(ticket, error)
                case Start(name) if not self._is_closing:
                    self._slots[name].loading = self._spawn(self._load(name))
                case Stop(name, why):
                    self._spawn(self._unload(name, why))

    def _settle(self, ticket: int, error: VX11Error | None) -> None:
        turn = self._tickets[ticket]
        if not turn.done():  # else its holder is on the way out, and will say so
            turn.set_result(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        running = asyncio.create_task(work)
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return running

    async def _load(self, name: str) -> None:
        slot = self._slots[name]
        slot.progress = 0.0
        try:
            slot.worker = worker = await self._started(slot)
        except ModelFailed as error:
            await self._did_not_load(name, error.detail)
            return
        except Exception:  # border: whatever it is, those who wait must hear of it
            _log.exception("loading %s broke", name)
            await self._did_not_load(name, "something broke inside; the log has the rest")
            return
        finally:
            slot.progress = slot.loading = None
        slot.extra_bufts = worker.spec.use_extra_bufts
        measured = await worker.memory_mb()
        self._carry_out(self._lifecycle.loaded(name, self._now(), round(measured) if measured else None))
        worker.gone.add_done_callback(self._on_gone(name, worker))
        await self._tell("model.loaded", {"model": name, "memory_mb": measured, "extra_buffers": slot.extra_bufts})

    async def _started(self, slot: _Slot) -> Worker:
        def on_progress(share: float) -> None:
            slot.progress = share

        return await Worker.start(
            self._spec(slot),
            self._house.clients,
            program=self._program,
            timeout_sec=self._house.settings.switch.load_timeout_sec,
            on_progress=on_progress,
        )

    async def _did_not_load(self, name: str, reason: str) -> None:
        _log.error("model %s did not load: %s", name, reason)
        self._carry_out(self._lifecycle.failed(name, reason, self._now()))
        await self._tell("model.failed", {"model": name, "reason": reason[:_REASON_CHARACTERS]}, "warning")

    def _on_gone(self, name: str, worker: Worker) -> Callable[[object], None]:
        def gone(_: object) -> None:
            slot = self._slots[name]
            if slot.worker is worker:  # not one we are stopping: it died by itself
                slot.worker = None
                _log.error("the worker of model %s died", name)
                self._carry_out(self._lifecycle.died(name, "its worker died", self._now()))
                self._spawn(self._tell("model.failed", {"model": name, "reason": "its worker died"}, "warning"))
                self._spawn(worker.stop())

        return gone

    async def _unload(self, name: str, why: str) -> None:
        slot = self._slots[name]
        worker, slot.worker = slot.worker, None
        try:
            if worker is not None:
                await worker.stop()
        finally:
            self._carry_out(self._lifecycle.stopped(name, self._now()))
        await self._tell("model.unloaded", {"model": name, "why": why})

    async def _tell(self, type: str, data: dict[str, object], severity: Severity = "info") -> None:
        try:
            await self._house.db.writing(self._house.journal.append, type, data, severity=severity)
        except VX11Error as error:  # a full disk or a busy database stops no model
            _log.error("the event %s was not kept: %s", type, error.detail)

    def _spec(self, slot: _Slot) -> WorkerSpec:
        file, settings = slot.file, self._house.settings.switch
        threads = threads_for(settings.decode_threads, settings.prompt_threads)
        return WorkerSpec(
            model_path=str((self._house.settings.models_path / file.path).absolute()),
            model_name=file.name,
            socket_path=self._sockets.fresh(),
            n_ctx=context_of(file, settings.context_tokens),
            n_seq_max=settings.parallel,
            kv_tokens=self._kv_tokens(file),
            n_batch=settings.batch_tokens,
            n_chunk=min(128, settings.batch_tokens),
            n_threads=threads.decode,
            n_threads_batch=threads.prompt,
            use_extra_bufts=slot.extra_bufts,
            max_waiting=settings.max_waiting,
            n_kept=_KEPT_SEQUENCES if settings.prefix_ram_mb else 0,
            kept_tokens=_KEPT_TOKENS,
            prefix_ram_mb=settings.prefix_ram_mb,
            prefix_disk_mb=settings.prefix_disk_mb,
            prefix_folder=str(self._house.settings.prefixes_path.absolute()),
            model_sha256=file.sha256,
        )
