"""The one thread that owns the context: continuous batching over sequence ids.

Each step: drop who was cancelled, admit who waits, plan a batch (`batch.plan`), evaluate it, draw one token for
every sequence whose tokens are all evaluated, hand all outputs over at once. Requests come in from other threads
through `submit` and leave through `cancel`; both only touch the queue, under the condition.

Cancelling inside a prefill aborts the batch at once. The other sequences of that batch lose nothing but its
time: their tokens are kept, and what the memory holds of them is taken back to where it was.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic

from config.errors import BadRequest, Internal, ModelFailed, TooManyRequests, Unavailable, VX11Error
from switch.worker.batch import Demand, Slice, plan
from switch.worker.chances import Chance, logprob
from switch.worker.compute import AbortedError, Compute, D, DecodeError, GrammarError
from switch.worker.meter import Meter
from switch.worker.outlet import End, Outlet, Output
from switch.worker.sequence import Finish, Job, Sequence
from switch.worker.spec import WorkerSpec
from switch.worker.watch import Watch

_log = logging.getLogger(__name__)


class Ticket:
    """A request on its way through the engine."""

    __slots__ = ("cancelled", "job", "outlet")

    def __init__(self, job: Job, outlet: Outlet) -> None:
        self.job = job
        self.outlet = outlet
        self.cancelled = False


class _Running(Generic[D]):
    """A ticket that holds a sequence id."""

    __slots__ = ("admitted_at", "first_at", "sampler", "sequence", "ticket")

    def __init__(self, ticket: Ticket, sequence: Sequence, sampler: D, now: float) -> None:
        self.ticket = ticket
        self.sequence = sequence
        self.sampler = sampler
        self.admitted_at = now
        self.first_at = 0.0

    def end(self, now: float) -> End:
        """The counts of the finished answer."""
        sequence = self.sequence
        return End(
            finish=sequence.finish or Finish.STOP,
            prompt_tokens=sequence.n_prompt,
            completion_tokens=sequence.generated,
            prompt_seconds=self.first_at - self.admitted_at,
            decode_seconds=now - self.first_at,
        )


class Engine(Generic[D]):
    """Runs jobs on one context. `deliver` is called on the engine's thread with the outputs of each step.

    `watch` may lower the number of threads, and abort a step that runs with too many.
    """

    def __init__(
        self,
        compute: Compute[D],
        spec: WorkerSpec,
        deliver: Callable[[list[Output]], None],
        watch: Watch | None = None,
    ) -> None:
        self.meter = Meter()
        self.error: VX11Error | None = None
        self._compute = compute
        self._spec = spec
        self._deliver = deliver
        self._watch = watch
        self._condition = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._running: dict[int, _Running[D]] = {}
        self._free_ids = list(range(spec.n_seq_max))
        self._reserved = 0
        self._arrivals = 0
        self._prefilling: frozenset[int] = frozenset()
        self._stopping = False

    # Called from other threads.

    def submit(self, job: Job, outlet: Outlet) -> Ticket:
        """Queue a job; raises TooManyRequests when the queue is full and Unavailable when the engine has ended."""
        ticket = Ticket(job, outlet)
        with self._condition:
            if self._stopping:
                raise self.error or Unavailable("The model is being unloaded.", retry_after_sec=1)
            # Who finds a free sequence id does not wait: the engine only has not come round to it yet.
            if len(self._waiting) >= self._spec.max_waiting + len(self._free_ids):
                raise TooManyRequests(f"{len(self._waiting)} requests wait for this model already.", retry_after_sec=1)
            self._waiting.append(ticket)
            self.meter.requests += 1
            self._condition.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give a job up: its sequence is freed before the next step, and a prefill of it ends now."""
        with self._condition:
            ticket.cancelled = True
            if any(self._running[seq_id].ticket is ticket for seq_id in self._prefilling):
                self._compute.abort(True)
            self._condition.notify()

    def stop(self) -> None:
        """End: whatever runs is given up, and `run` returns."""
        with self._condition:
            self._stopping = True
            self._compute.abort(True)
            self._condition.notify()

    def snapshot(self) -> dict[str, Any]:
        """Who runs and who waits, for `/health`."""
        with self._condition:
            sequences = [running.sequence for running in self._running.values()]
            waiting = len(self._waiting)
        return {
            "in_flight": len(sequences),
            "waiting": waiting,
            "sequences": [
                {"id": one.seq_id, "prompt_tokens": one.n_prompt, "evaluated": one.n_past, "generated": one.generated}
                for one in sequences
            ],
        }

    # The engine's thread.

    def run(self) -> None:
        """Step until stopped. A bug here ends the engine, and each open request is told."""
        try:
            while self._wait_for_work():
                self._step()
            self._fail_all(Unavailable("The model is being unloaded.", retry_after_sec=1))
        except Exception as error:  # border: a thread has no caller; the requests must hear of it
            _log.exception("the engine broke")
            self._fail_all(Internal(f"The engine of the model broke: {type(error).__name__}."))
            raise

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False when it is time to end."""
        with self._condition:
            if not self._has_work and self._watch is not None:
                self._watch.rests()
            while not self._has_work:
                self._condition.wait()
            if self._watch is not None:
                self._watch.begins()
            return not self._stopping

    @property
    def _has_work(self) -> bool:
        return bool(self._stopping or self._waiting or self._running)

    def _step(self) -> None:
        slices = self._prepare()
        if not slices:
            return
        started = time.monotonic()
        try:
            rows = self._compute.decode(slices, self._batch(slices), threads=self._threads(slices))
        except AbortedError:
            self._take_back(slices)
        except DecodeError as error:
            _log.error("a batch failed", extra={"reason": str(error)})
            self._fail(slices, ModelFailed("The model failed to compute; the worker's log has the reason."))
        else:
            self._advance(slices, rows, started)

    def _prepare(self) -> list[Slice]:
        """Drop the cancelled, admit the waiting, plan the batch; from here to its end `cancel` may abort it."""
        with self._condition:
            for running in [one for one in self._running.values() if one.ticket.cancelled]:
                self._release(running)
                self.meter.cancelled += 1
            self._admit()
            demands = (
                Demand(one.seq_id, one.pending, one.arrival) for one in (r.sequence for r in self._running.values())
            )
            slices = plan(demands, n_batch=self._spec.n_batch, n_chunk=self._spec.n_chunk)
            self._prefilling = frozenset(part.seq_id for part in slices if part.size > 1)
            self._compute.abort(self._stopping)
        return slices

    def _admit(self) -> None:
        """Give waiting tickets a sequence id, first come first served, while ids and memory last."""
        while self._waiting:
            ticket = self._waiting[0]
            need = ticket.job.most_tokens(self._spec.n_ctx)
            if not ticket.cancelled and (not self._free_ids or self._reserved + need > self._spec.total_kv_tokens):
                return
            self._waiting.popleft()
            if not ticket.cancelled:
                self._start(ticket)

    def _start(self, ticket: Ticket) -> None:
        self._arrivals += 1
        seq_id = heapq.heappop(self._free_ids)
        sequence = Sequence(ticket.job, seq_id=seq_id, arrival=self._arrivals, n_ctx=self._spec.n_ctx)
        sampler = self._compute.sampler(ticket.job.sampling)
        self._running[seq_id] = _Running(ticket, sequence, sampler, time.monotonic())
        self._reserved += ticket.job.most_tokens(self._spec.n_ctx)

    def _release(self, running: _Running[D]) -> None:
        """Free the sequence id, the memory and the sampler of one request."""
        seq_id = running.sequence.seq_id
        self._compute.forget(seq_id)
        running.sampler.close()
        del self._running[seq_id]
        heapq.heappush(self._free_ids, seq_id)
        self._reserved -= running.ticket.job.most_tokens(self._spec.n_ctx)

    def _batch(self, slices: list[Slice]) -> Iterator[tuple[list[int], int]]:
        """The tokens of each slice and the position of the first."""
        for part in slices:
            sequence = self._running[part.seq_id].sequence
            yield sequence.tokens[sequence.n_past : sequence.n_past + part.size], sequence.n_past

    def _threads(self, slices: list[Slice]) -> int:
        """One token of one sequence is bound by latency between threads, everything larger by arithmetic."""
        single = len(slices) == 1 and slices[0].size == 1
        most = self._spec.n_threads if single else self._spec.n_threads_batch
        return most if self._watch is None else self._watch.threads(most)

    def _advance(self, slices: list[Slice], rows: list[int], started: float) -> None:
        """Draw for every sequence that is fully evaluated, and hand over what the step gave."""
        now = time.monotonic()
        decoding = sum(1 for part in slices if self._running[part.seq_id].sequence.generated)
        outputs = []
        for part, row in zip(slices, rows, strict=True):
            running = self._running[part.seq_id]
            running.sequence.n_past += part.size
            if row >= 0:
                outputs.append(self._draw(running, row, now))
        prompt = sum(part.size for part in slices) - decoding
        self.meter.step(prompt=prompt, decoding=decoding, drawn=len(outputs), seconds=now - started)
        with self._condition:
            self._prefilling = frozenset()
            for running in [one for one in self._running.values() if one.sequence.finish is not None]:
                self._release(running)
        self._deliver(outputs)

    def _draw(self, running: _Running[D], row: int, now: float) -> Output:
        sequence = running.sequence
        running.first_at = running.first_at or now
        try:
            token = self._compute.draw(running.sampler, row)
        except GrammarError as error:
            sequence.finish = Finish.STOP
            return Output(running.ticket.outlet, "", BadRequest(f"The answer cannot go on: {error}."))
        ends = self._compute.ends(token)
        chance = None if ends else self._chance(running.ticket.job, row, token)
        text = sequence.accept(token, self._compute.piece(token), ends=ends, chance=chance)
        end = None if sequence.finish is None else running.end(now)
        return Output(running.ticket.outlet, text, end, sequence.told())

    def _chance(self, job: Job, row: int, token: int) -> Chance | None:
        """How likely a token was, for a job that wants to know."""
        if job.logprobs is None:
            return None
        piece = self._compute.piece
        probability, likeliest = self._compute.chances(row, token, job.logprobs)
        return Chance(
            piece(token), logprob(probability), tuple((piece(other), logprob(its)) for other, its in likeliest)
        )

    def _take_back(self, slices: list[Slice]) -> None:
        """After an aborted batch: leave each sequence's memory as it was, or where that cannot be, start it anew."""
        with self._condition:
            self._prefilling = frozenset()
        for part in slices:
            sequence = self._running[part.seq_id].sequence
            if not self._compute.forget(part.seq_id, sequence.n_past):
                self._compute.forget(part.seq_id)
                sequence.n_past = 0

    def _fail(self, slices: list[Slice], error: VX11Error) -> None:
        """End the requests of a batch that did not compute."""
        with self._condition:
            self._prefilling = frozenset()
            failed = [self._running[part.seq_id] for part in slices]
            for running in failed:
                self._release(running)
        self.meter.failed += len(failed)
        self._deliver([Output(running.ticket.outlet, "", error) for running in failed])

    def _fail_all(self, error: VX11Error) -> None:
        """Tell every open request that the engine ends."""
        with self._condition:
            self._stopping = True
            self.error = error
            tickets = [running.ticket for running in self._running.values()] + list(self._waiting)
            self._running.clear()
            self._prefilling = frozenset()
            self._waiting.clear()
        self._deliver([Output(ticket.outlet, "", error) for ticket in tickets])
