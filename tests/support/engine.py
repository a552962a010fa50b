"""An engine on its thread under test, over a model that counts, and what it delivers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from config.errors import VX11Error
from switch.worker.archive import Archive
from switch.worker.engine import Engine
from switch.worker.outlet import End, Outlet, Output
from switch.worker.prefixes import Prefixes
from switch.worker.sampling import Sampling
from switch.worker.sequence import Job
from switch.worker.spec import WorkerSpec
from tests.support.compute import CountingCompute

DEADLINE = 10.0


def spec(**changes: Any) -> WorkerSpec:
    """A small worker."""
    plain = WorkerSpec(
        model_path="m", model_name="m", socket_path="s", n_ctx=64, n_seq_max=3, n_batch=8, n_chunk=4, max_waiting=4
    )
    return replace(plain, **changes)


def job(prompt: int, most: int | None = 3) -> Job:
    """A prompt of that many tokens."""
    return Job(list(range(prompt)), Sampling(temperature=0), (), most)


def numbers(prompt: int, count: int) -> str:
    """What the counting model answers."""
    return "".join(f"{prompt + step} " for step in range(count))


class Answers:
    """Gathers what the engine delivers, by outlet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._texts: dict[Outlet, str] = {}
        self._ends: dict[Outlet, End | VX11Error] = {}

    def deliver(self, outputs: list[Output]) -> None:
        """What the engine calls."""
        with self._changed:
            for outlet, text, end, _chances in outputs:
                self._texts[outlet] = self._texts.get(outlet, "") + text
                if end is not None:
                    assert outlet not in self._ends, "an answer ends once"
                    self._ends[outlet] = end
            self._changed.notify_all()

    def end(self, outlet: Outlet) -> End | VX11Error:
        """Wait for how an answer ended."""
        with self._changed:
            assert self._changed.wait_for(lambda: outlet in self._ends, DEADLINE), "the answer did not end"
            return self._ends[outlet]

    def text(self, outlet: Outlet) -> str:
        """What it has said so far."""
        return self._texts.get(outlet, "")


class Bench:
    """An engine on its thread, and what it delivered."""

    def __init__(self, compute: CountingCompute, archive: Archive | None = None, **changes: Any) -> None:
        self.compute = compute
        self.answers = Answers()
        self.spec = spec(**changes)
        prefixes = Prefixes(compute.memory, self.spec, archive)
        self.engine = Engine(compute, self.spec, self.answers.deliver, prefixes=prefixes)
        self.raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Run, if it does not yet."""
        if self._thread.ident is None:
            self._thread.start()

    def finish(self) -> None:
        """Stop and wait for it."""
        self.engine.stop()
        self.compute.gate.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def ask(self, wanted: Job) -> Outlet:
        """Submit a job; its answer comes at the outlet."""
        outlet = Outlet()
        self.engine.submit(wanted, outlet)
        return outlet

    def _run(self) -> None:
        try:
            self.engine.run()
        except RuntimeError as error:
            self.raised.append(error)


@contextmanager
def bench(
    compute: CountingCompute | None = None, archive: Archive | None = None, *, begun: bool = True, **changes: Any
) -> Iterator[Bench]:
    """An engine that runs inside the block, or once `start` is called."""
    one = Bench(compute or CountingCompute(), archive, **changes)
    if begun:
        one.start()
    try:
        yield one
    finally:
        one.start()
        one.finish()
