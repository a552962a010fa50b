"""The thread that watches the machine while the engine works, on clocks that are told what to say."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from switch.worker.cores import Idle, Waited
from switch.worker.pressure import Reading
from switch.worker.watch import Watch


class Clocks:
    """Each reading is 40 ms after the one before, on a machine where others take `taken` cores."""

    def __init__(self) -> None:
        self.taken = 0.0
        self.now = Reading(0, 0, 0)
        self.was_read = threading.Event()

    def read(self) -> Reading:
        self.now = Reading(self.now.wall + 0.04, self.now.waited + self.taken * 0.04, self.now.idle)
        self.was_read.set()
        return self.now


def test_a_step_with_too_many_threads_is_aborted_and_the_next_has_fewer() -> None:
    clocks, aborted = Clocks(), threading.Event()
    watch = Watch(2, aborted.set, clocks.read)
    assert watch.threads(2) == 2
    clocks.taken = 1.0
    watch.begins()
    assert aborted.wait(10)
    assert watch.threads(2) == 1
    watch.end()


def test_a_step_on_a_free_machine_is_left_alone() -> None:
    clocks, aborted = Clocks(), threading.Event()
    watch = Watch(2, aborted.set, clocks.read)
    watch.begins()
    for _ in range(3):
        clocks.was_read.clear()
        assert clocks.was_read.wait(10)
    watch.rests()
    assert not aborted.is_set()
    assert watch.threads(1) == 1
    assert watch.threads(4) == 2
    watch.end()


def test_one_core_needs_no_watch() -> None:
    clocks = Clocks()
    watch = Watch(1, lambda: None, clocks.read)
    watch.begins()
    assert not clocks.was_read.wait(0.1)
    assert watch.threads(8) == 1


def test_the_kernel_tells_how_long_threads_waited(tmp_path: Path) -> None:
    for number, nanoseconds in ((1, 1_500_000_000), (2, 250_000_000)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "schedstat").write_text(f"77 {nanoseconds} 3\n")
    assert Waited(tmp_path).seconds() == 1.75
    waited = Waited(tmp_path)
    assert waited.seconds() == 1.75
    shutil.rmtree(tmp_path / "1")
    assert waited.seconds() == 0.25, "who has ended no longer counts"
    (tmp_path / "3").mkdir()
    assert Waited(tmp_path).seconds() is None
    assert Waited(tmp_path / "nowhere").seconds() is None


def test_only_cores_this_process_may_use_count_as_idle(tmp_path: Path) -> None:
    ours = min(os.sched_getaffinity(0))
    foreign = max(os.sched_getaffinity(0)) + 1
    lines = [
        "cpu  1 1 1 999 999 0 0 0 0 0",
        f"cpu{ours} 1 1 1 300 100 0 0 0 0 0",
        f"cpu{foreign} 0 0 0 5000 0 0 0 0 0 0",
    ]
    (tmp_path / "stat").write_text("\n".join([*lines, "intr 1 2 3"]))
    assert Idle(tmp_path / "stat").seconds() == 400 / os.sysconf("SC_CLK_TCK")
    assert Idle(tmp_path / "nothing").seconds() == 0
