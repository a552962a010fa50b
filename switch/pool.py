"""The shell around `lifecycle.py`: carries its effects out with real worker processes.

All of it runs on the event loop's one thread, which is what makes the lifecycle the single owner of its
state: every event is one synchronous call, and its effects are under way before the next event comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from config.app import House
from config.contracts.events import Severity
from config.errors import ModelFailed, VX11Error
from switch.adapters.files import Seen, look_at
from switch.adapters.sockets import SocketFolder
from switch.adapters.watch import Watch
from switch.adapters.worker import Patience, Program, Worker
from switch.choose import ModelFile, context_of, need_mb
from switch.lifecycle import Effect, Grant, Lifecycle, Limits, Refuse, Start, Stop
from switch.residence import Model
from switch.threads import threads_for
from switch.worker.spec import WorkerSpec

_log = logging.getLogger(__name__)
_KV_CONVERSATIONS = 2  # whole conversations that fit into the shared KV memory; more share it while they are short
_KEPT_SEQUENCES, _KEPT_TOKENS = 4, 512  # what a model keeps at hand of finished conversations (decision 0009)
_REASON_CHARACTERS = 500
_LOOK_EVERY_SEC = 10.0  # at a worker's memory and health
_CHANGED = "its file changed while it was in memory"

Turn = Callable[[VX11Error | None], None]


@dataclass(slots=True)
class _Slot:
    """What belongs to one model outside the lifecycle's own state: `file` is what its next worker loads, `loaded` and
    `seen` what the present one did, `proved` which file an earlier one did, with what its canary proved."""

    file: ModelFile
    loaded: ModelFile | None = None
    seen: Seen | None = None
    proved: tuple[Seen | None, str] = (None, "")
    worker: Worker | None = None
    watch: Watch | None = None
    looked_at: float = 0.0
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
        self._turns: dict[int, Turn] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._look_every_sec = min(_LOOK_EVERY_SEC, house.settings.switch.stall_sec / 2)

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

    def model(self, name: str) -> Model | None:
        """One of them; for showing, not for deciding."""
        return self._lifecycle.model(name)

    def progress(self, name: str) -> float | None:
        """How far a loading model is, 0 to 1."""
        slot = self._slots.get(name)
        return slot.progress if slot else None

    async def memory_mb(self, name: str) -> float | None:
        """The measured size of a loaded model's worker, MiB."""
        slot = self._slots.get(name)
        return await slot.worker.memory_mb() if slot and slot.worker else None

    def ticket(self) -> int:
        """A number for one use of a model."""
        return next(self._numbers)

    def want(self, ticket: int, file: ModelFile, turn: Turn) -> None:
        """Have `turn` called, perhaps at once, when the model may be used, or with what it is refused with: cooling
        after a failure, does not fit, too many wait. To be answered with `released`, or `gave_up` before the turn."""
        self._expect(file)
        self._turns[ticket] = turn
        self._carry_out(self._lifecycle.wanted(ticket, file.name, self._need_mb(file), self._now()))

    def gave_up(self, ticket: int, name: str) -> None:
        """The holder of `ticket` waits no longer."""
        self._turns.pop(ticket, None)
        self._carry_out(self._lifecycle.gave_up(ticket, name, self._now()))

    def released(self, ticket: int, name: str) -> None:
        """One use has ended."""
        self._carry_out(self._lifecycle.released(ticket, name, self._now()))

    def worker(self, name: str) -> Worker:
        """The worker of a model that may be used; ModelFailed when it ended just now."""
        worker = self._slots[name].worker
        if worker is None:
            raise ModelFailed(f"{name} ended just now.", retry_after_sec=1)
        return worker

    @contextlib.asynccontextmanager
    async def use(self, file: ModelFile) -> AsyncIterator[Worker]:
        """The worker of `file`'s model for the length of the block; waits until it is loaded, whoever waits for a
        place in it. Raises what it is refused with."""
        ticket = self.ticket()
        turn: asyncio.Future[VX11Error | None] = asyncio.get_running_loop().create_future()
        self.want(ticket, file, partial(settle, turn))
        try:
            refusal = await turn
        except asyncio.CancelledError:
            self.gave_up(ticket, file.name)
            raise
        if refusal is not None:
            raise refusal
        try:
            yield self.worker(file.name)
        finally:
            self.released(ticket, file.name)

    def pin(self, file: ModelFile) -> None:
        """Have a model in memory until it is unpinned; NotEnoughMemory where the pinned ones alone would not fit."""
        self._expect(file)
        self._carry_out(self._lifecycle.pin(file.name, self._need_mb(file), self._now()))

    def unpin(self, name: str) -> None:
        """Let a pinned model go like the others."""
        self._carry_out(self._lifecycle.unpin(name, self._now()))

    def keep(self, name: str, ttl_sec: float | None) -> None:
        """Give a model an idle time of its own; None: that of all."""
        self._lifecycle.keep(name, ttl_sec)

    def follow(self, files: Mapping[str, ModelFile]) -> None:
        """The registry has changed: what is in memory and is not in it like this any more goes once nobody uses it."""
        for name, slot in self._slots.items():
            if name in files:
                self._expect(files[name])
            elif slot.loaded is not None:
                self.unpin(name)
                self._carry_out(self._lifecycle.drain(name, "removed or disabled", self._now()))

    def unload(self, name: str) -> bool:
        """Have a model go: now, or once it has loaded for nobody; False where it stays, for it is in use or pinned."""
        effects = self._lifecycle.unload(name)
        self._carry_out(effects or [])
        return effects is not None

    async def tick(self) -> None:
        """Let idle models go to sleep, and look after the others; called every second."""
        self._carry_out(self._lifecycle.tick(self._now()))
        running = [(name, slot.worker) for name, slot in self._slots.items() if slot.worker is not None]
        if not running:
            return
        seen = await asyncio.to_thread(lambda: [look_at(Path(worker.spec.model_path)) for _, worker in running])
        for (name, worker), file_seen in zip(running, seen, strict=True):
            self._look_after(name, worker, file_seen)

    def _look_after(self, name: str, worker: Worker, seen: Seen | None) -> None:
        slot, now = self._slots[name], self._now()
        if slot.worker is not worker:
            return
        if seen is not None and seen != slot.seen:  # one that is gone lives on in its worker
            slot.seen = seen
            self._carry_out(self._lifecycle.drain(name, _CHANGED, now))
        if slot.watch is not None and now - slot.looked_at >= self._look_every_sec:
            slot.looked_at = float("inf")  # not again before this look is over
            self._spawn(self._look(name, slot, worker, slot.watch))

    async def _look(self, name: str, slot: _Slot, worker: Worker, watch: Watch) -> None:
        """Kill a worker that hangs; correct the ledger for one that is well."""
        began = self._now()
        why = await watch.look(began)
        measured = await worker.memory_mb()
        slot.looked_at = began
        if slot.worker is not worker:
            return
        if why is not None:
            _log.error("the worker of model %s is killed: %s", name, why)
            worker.kill(why)
        elif measured:
            self._carry_out(self._lifecycle.measured(name, round(measured), self._now()))

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

    def _expect(self, file: ModelFile) -> None:
        """The next worker of this model loads `file`; one that holds another ends once nobody uses it."""
        slot = self._slots.get(file.name)
        if slot is None:
            slot = self._slots[file.name] = _Slot(file)
            self.keep(file.name, self._house.settings.switch.model_ttls.get(file.name))
        slot.file = file
        if slot.loaded is not None and (slot.loaded.sha256, slot.loaded.path) != (file.sha256, file.path):
            self._carry_out(self._lifecycle.drain(file.name, _CHANGED, self._now()))

    def _need_mb(self, file: ModelFile) -> int:
        return need_mb(file, self._kv_tokens(file), self._house.settings.switch.prefix_ram_mb)

    def _kv_tokens(self, file: ModelFile) -> int:
        settings = self._house.settings.switch
        return context_of(file, settings.context_tokens) * min(_KV_CONVERSATIONS, settings.parallel)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Grant(ticket):
                    self._turns.pop(ticket)(None)
                case Refuse(ticket, error):
                    self._turns.pop(ticket)(error)
                case Start(name) if not self._is_closing:
                    self._slots[name].loading = self._spawn(self._load(name))
                case Stop(name, why):
                    self._spawn(self._unload(name, why))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        running = asyncio.create_task(work)
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)
        return running

    async def _load(self, name: str) -> None:
        slot = self._slots[name]
        slot.progress, slot.loaded = 0.0, slot.file
        spec = self._spec(slot, slot.file)
        try:
            slot.seen = await asyncio.to_thread(look_at, Path(spec.model_path))
            seen, reuse = slot.proved
            spec = replace(spec, proved=reuse if slot.seen and seen == slot.seen else "")
            slot.worker = worker = await self._started(slot, spec)
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
        slot.proved = (slot.seen, worker.proved)
        slot.watch, slot.looked_at = Watch(worker, self._house.settings.switch.stall_sec), self._now()
        measured = await worker.memory_mb()
        self._carry_out(self._lifecycle.loaded(name, self._now(), round(measured) if measured else None))
        worker.gone.add_done_callback(self._on_gone(name, worker))
        await self._tell("model.loaded", {"model": name, "memory_mb": measured, "extra_buffers": slot.extra_bufts})

    async def _started(self, slot: _Slot, spec: WorkerSpec) -> Worker:
        def on_progress(share: float) -> None:
            slot.progress = share

        settings = self._house.settings.switch
        return await Worker.start(
            spec,
            self._house.clients,
            program=self._program,
            patience=Patience(settings.load_timeout_sec, settings.stall_sec),
            on_progress=on_progress,
        )

    async def _did_not_load(self, name: str, reason: str) -> None:
        _log.error("model %s did not load: %s", name, reason)
        self._slots[name].loaded = None
        self._carry_out(self._lifecycle.failed(name, reason, self._now()))
        await self._tell("model.failed", {"model": name, "reason": reason[:_REASON_CHARACTERS]}, "warning")

    def _on_gone(self, name: str, worker: Worker) -> Callable[[object], None]:
        def gone(_: object) -> None:
            slot = self._slots[name]
            if slot.worker is worker:  # not one we are stopping: it died by itself
                reason = worker.end_in_words
                if look_at(Path(worker.spec.model_path)) != slot.seen:
                    reason += f"; {_CHANGED}"
                slot.worker = slot.loaded = None
                slot.proved = (None, "")
                _log.error("the worker of model %s died: %s", name, reason)
                self._carry_out(self._lifecycle.died(name, reason, self._now(), rests=worker.hung))
                told: dict[str, object] = {"model": name, "reason": reason}
                self._spawn(self._tell("model.failed", told, "warning"))
                self._spawn(worker.stop())

        return gone

    async def _unload(self, name: str, why: str) -> None:
        slot = self._slots[name]
        worker, slot.worker, slot.loaded = slot.worker, None, None
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

    def _spec(self, slot: _Slot, file: ModelFile) -> WorkerSpec:
        settings = self._house.settings.switch
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


def settle(turn: asyncio.Future[VX11Error | None], refusal: VX11Error | None) -> None:
    """Tell who waits for their turn that it has come, or why it will not; nobody who is on the way out already."""
    if not turn.done():
        turn.set_result(refusal)
