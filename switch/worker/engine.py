"""The one thread that owns the context: continuous batching over sequence ids.

Each step: drop who was cancelled, admit who waits, plan a batch (`batch.plan`), evaluate it, draw one token for
every sequence whose tokens are all evaluated, hand all outputs over at once. Requests come in from other threads
through `submit` and leave through `cancel`; both only touch the queue, under the condition.

Cancelling inside a prefill aborts the batch at once. The other sequences of that batch lose nothing but its
time: their tokens are kept, and what the memory holds of them is taken back to where it was.

A request begins when there are cells for its prompt and a little of its answer, and grows while cells are free.
When they run out, kept sequences go first (`prefixes`), then the youngest request is put back to the head of the
queue: its tokens and its sampler wait with it, and it goes on from what can be restored. The oldest always goes on,
and whoever runs alone fits, so everybody ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic

from config.errors import BadRequest, Internal, ModelFailed, TooManyRequests, Unavailable, VX11Error
from switch.worker.batch import Demand, Slice, plan
from switch.worker.chances import Chance, logprob
from switch.worker.compute import AbortedError, Compute, D, DecodeError, GrammarError, NoRoomError
from switch.worker.errands import Errand, Errands
from switch.worker.meter import Meter
from switch.worker.outlet import Outlet, Output
from switch.worker.prefixes import Await, Place, Prefixes
from switch.worker.sequence import Finish, Job, Sequence
from switch.worker.spec import WorkerSpec
from switch.worker.tickets import Running, Ticket
from switch.worker.watch import Watch

_SAVING_SECONDS = 0.5  # how long the end of the worker may wait for states to be put on disk
_BETWEEN_SAVES = 0.1
_log = logging.getLogger(__name__)


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
        prefixes: Prefixes | None = None,
    ) -> None:
        self.meter = Meter()
        self.prefixes = prefixes or Prefixes(compute.memory, spec)
        self.error: VX11Error | None = None
        self._compute = compute
        self._spec = spec
        self._deliver = deliver
        self._watch = watch
        self._errands = Errands(spec.max_waiting)
        self._condition = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._running: dict[int, Running[D]] = {}
        self._is_full = False  # the first in the queue found too few cells, and nobody has left since
        self._someone_left = False
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
            # Who finds a free place does not wait: the engine only has not come round to it yet.
            if len(self._waiting) >= self._spec.max_waiting + self._spec.n_seq_max - len(self._running):
                raise TooManyRequests(f"{len(self._waiting)} requests wait for this model already.", retry_after_sec=1)
            self._waiting.append(ticket)
            self.meter.requests += 1
            self._condition.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give a job up: its sequence is freed before the next step, and a prefill of it ends now."""
        with self._condition:
            ticket.cancelled = self._someone_left = True
            if any(self._running[seq_id].ticket is ticket for seq_id in self._prefilling):
                self._compute.abort(True)
            self._condition.notify()

    def run_errand(self, errand: Errand) -> None:
        """Queue work that is no answer; raises TooManyRequests and Unavailable as `submit` does."""
        with self._condition:
            if self._stopping:
                raise self.error or Unavailable("The model is being unloaded.", retry_after_sec=1)
            self._errands.add(errand)
            self._condition.notify()

    def stop(self) -> None:
        """End: whatever runs is given up, and `run` returns."""
        with self._condition:
            self._stopping = True
            self._compute.abort(True)
            self._condition.notify()

    def snapshot(self) -> dict[str, Any]:
        """Who runs, who waits and what is remembered, for `/health`."""
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
            "put_back": self.meter.put_back,
            "prefixes": self.prefixes.counts(),
        }

    # The engine's thread.

    def run(self) -> None:
        """Step until stopped. A bug here ends the engine, and each open request is told."""
        try:
            while self._wait_for_work():
                self._step()
            unfinished = list(self._running.values())
            self._fail_all(Unavailable("The model is being unloaded.", retry_after_sec=1))
            for running in unfinished:
                self._remember(running, keep=True)
            self.prefixes.save_rest(_SAVING_SECONDS)
        except Exception as error:  # border: a thread has no caller; the requests must hear of it
            _log.exception("the engine broke")
            self._fail_all(Internal(f"The engine of the model broke: {type(error).__name__}."))
            raise

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False when it is time to end. States go to disk meanwhile."""
        if self._watch is not None and not self._has_work:
            self._watch.rests()
        pause: float | None = self._spec.save_after_ms / 1000
        while not self._has_work_within(pause):
            pause = _BETWEEN_SAVES if self.prefixes.save_one() else None
        if self._watch is not None:
            self._watch.begins()
        return not self._stopping

    def _has_work_within(self, seconds: float | None) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._has_work, seconds)

    @property
    def _has_work(self) -> bool:
        return bool(self._stopping or self._waiting or self._running or self._errands)

    def _step(self) -> None:
        if self._errands:
            self._errands.step(self._threads_of(self._spec.n_threads_batch))
        slices = self._prepare()
        if not slices:
            return
        started = time.monotonic()
        try:
            rows = self._compute.decode(slices, self._batch(slices), threads=self._threads(slices))
        except AbortedError:
            self._take_back(slices)
        except NoRoomError:
            self._make_room_for(slices)
        except DecodeError as error:
            _log.error("a batch failed", extra={"reason": str(error)})
            self._fail(slices, ModelFailed("The model failed to compute; the worker's log has the reason."))
        else:
            self._advance(slices, rows, started)

    def _prepare(self) -> list[Slice]:
        """Drop the cancelled, admit the waiting, plan the batch; from here to its end `cancel` may abort it."""
        while True:
            self._drop_cancelled()
            self._admit()
            slices = self._planned()
            with self._condition:
                if not any(self._running[part.seq_id].ticket.cancelled for part in slices):
                    self._prefilling = frozenset(part.seq_id for part in slices if part.size > 1)
                    self._compute.abort(self._stopping)
                    return slices

    def _planned(self) -> list[Slice]:
        """The next batch, with cells for all of it."""
        while True:
            sequences = (running.sequence for running in self._running.values())
            demands = [Demand(one.seq_id, one.pending, one.arrival) for one in sequences]
            slices = plan(demands, n_batch=self._spec.n_batch, n_chunk=self._spec.n_chunk)
            if self.prefixes.make_room(sum(part.size for part in slices)) or len(self._running) == 1:
                return slices
            self._put_back_youngest()

    def _drop_cancelled(self) -> None:
        if not self._someone_left:
            return
        with self._condition:
            self._someone_left = False
            gone = [ticket for ticket in self._waiting if ticket.cancelled]
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.cancelled)
            leaving = [running for running in self._running.values() if running.ticket.cancelled]
        for ticket in gone:
            if ticket.running is not None:
                ticket.running.sampler.close()
        for running in leaving:
            self._release(running)
            self.meter.cancelled += 1

    def _admit(self) -> None:
        """Give waiting tickets a place, first come first served, while ids and cells last.

        Who awaits a beginning that another one is evaluating lets the others pass.
        """
        if not self._waiting or self._is_full or len(self._running) >= self._spec.n_seq_max:
            return
        with self._condition:
            waiting = [ticket for ticket in self._waiting if not self._is_awaiting(ticket)]
        for ticket in waiting:
            place = self._place(ticket)
            if place is None:
                self._is_full = True
                return
            if isinstance(place, Await):
                ticket.awaits = (self._running[place.seq_id], place.length)
                continue
            self._start(ticket, place)
            if len(self._running) >= self._spec.n_seq_max:
                return

    def _is_awaiting(self, ticket: Ticket) -> bool:
        if ticket.awaits is None:
            return False
        running, length = ticket.awaits
        is_there = self._running.get(running.sequence.seq_id) is running
        return is_there and running.sequence.n_past < length

    def _place(self, ticket: Ticket) -> Place | Await | None:
        n_ctx = self._spec.n_ctx
        coming = ticket.wants(n_ctx) + sum(running.wants(n_ctx) for running in self._running.values())
        return self.prefixes.place(ticket.tokens, running=self._running.keys(), coming=coming, reuse=ticket.job.reuse)

    def _start(self, ticket: Ticket, place: Place) -> None:
        running: Running[D] = ticket.running or self._begun(ticket, place)
        running.sequence.seq_id, running.sequence.n_past = place
        ticket.running = ticket.awaits = None
        with self._condition:
            self._waiting.remove(ticket)
            self._running[place.seq_id] = running

    def _begun(self, ticket: Ticket, place: Place) -> Running[D]:
        self._arrivals += 1
        sequence = Sequence(ticket.job, seq_id=place.seq_id, arrival=self._arrivals, n_ctx=self._spec.n_ctx)
        sampler = self._compute.sampler(ticket.job.sampling)
        return Running(ticket, sequence, sampler, time.monotonic(), place.start)

    def _put_back_youngest(self) -> None:
        """Have one request less to find cells for; it comes first when there are some again."""
        running = max(self._running.values(), key=lambda one: one.sequence.arrival)
        self.prefixes.put_back(running.sequence.seq_id, running.sequence.tokens)
        self.meter.put_back += 1
        with self._condition:
            del self._running[running.sequence.seq_id]
            running.ticket.running = running
            self._waiting.appendleft(running.ticket)
        self._is_full = True

    def _release(self, running: Running[D], *, keep: bool = True) -> None:
        """Free the place and the sampler of one request; what it evaluated may be kept."""
        sequence = running.sequence
        with self._condition:
            del self._running[sequence.seq_id]
        running.sampler.close()
        self._remember(running, keep=keep)
        self._is_full = False

    def _remember(self, running: Running[D], *, keep: bool) -> None:
        sequence, keep = running.sequence, keep and running.ticket.job.reuse
        self.prefixes.release(sequence.seq_id, sequence.tokens, prompt=sequence.n_prompt, keep=keep)

    def _batch(self, slices: list[Slice]) -> Iterator[tuple[list[int], int]]:
        """The tokens of each slice and the position of the first."""
        for part in slices:
            sequence = self._running[part.seq_id].sequence
            yield sequence.tokens[sequence.n_past : sequence.n_past + part.size], sequence.n_past

    def _threads(self, slices: list[Slice]) -> int:
        """One token of one sequence is bound by latency between threads, everything larger by arithmetic."""
        single = len(slices) == 1 and slices[0].size == 1
        most = self._spec.n_threads if single else self._spec.n_threads_batch
        return self._threads_of(most)

    def _threads_of(self, most: int) -> int:
        return most if self._watch is None else self._watch.threads(most)

    def _advance(self, slices: list[Slice], rows: list[int], started: float) -> None:
        """Draw for every sequence that is fully evaluated, and hand over what the step gave."""
        now = time.monotonic()
        decoding = sum(1 for part in slices if self._running[part.seq_id].sequence.generated)
        outputs = []
        for part, row in zip(slices, rows, strict=True):
            running = self._running[part.seq_id]
            running.sequence.n_past += part.size
            self.prefixes.grow(part.seq_id, part.size)
            if row >= 0:
                outputs.append(self._draw(running, row, now))
        prompt = sum(part.size for part in slices) - decoding
        self.meter.step(prompt=prompt, decoding=decoding, drawn=len(outputs), seconds=now - started)
        self._prefilling = frozenset()
        for running in [one for one in self._running.values() if one.sequence.finish is not None]:
            self._release(running)
        self._deliver(outputs)

    def _draw(self, running: Running[D], row: int, now: float) -> Output:
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
        self._prefilling = frozenset()
        for part in slices:
            self._running[part.seq_id].sequence.n_past = self.prefixes.take_back(part.seq_id)

    def _make_room_for(self, slices: list[Slice]) -> None:
        """The library found no cells where there should be some, as kinds of memory do that count otherwise."""
        self._take_back(slices)
        if self.prefixes.kept:
            self.prefixes.forget_kept()
        elif len(self._running) > 1:
            self._put_back_youngest()
        else:
            self._fail(slices, ModelFailed("The memory of the model has no room for this request."))

    def _fail(self, slices: list[Slice], error: VX11Error) -> None:
        """End the requests of a batch that did not compute."""
        self._prefilling = frozenset()
        failed = [self._running[part.seq_id] for part in slices]
        for running in failed:
            self._release(running, keep=False)
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
        self._errands.fail_all(error)
        self._deliver([Output(ticket.outlet, "", error) for ticket in tickets])
