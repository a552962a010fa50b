"""What a process and its descendants take, from a made-up /proc and from a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from madre.adapters.process_tree import tree_usage

TICKS = os.sysconf("SC_CLK_TCK")


def process(
    proc: Path, pid: int, *, ticks: int = 0, pss_kb: int = 1024, io: tuple[int, int] | None = (0, 0), children: str = ""
) -> None:
    """One process; its children are listed with its second thread."""
    for thread, listed in ((pid, ""), (pid + 1, children)):
        folder = proc / str(pid) / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "children").write_text(listed)
    folder = proc / str(pid)
    (folder / "stat").write_text(f"{pid} (a) b) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 1 2 3 20 0 1 0")
    (folder / "smaps_rollup").write_text(
        f"0-1 ---p 0 0:0 0 [rollup]\nRss: 9 kB\nPss:    {pss_kb} kB\nPss_Dirty: 1 kB\n"
    )
    if io is not None:
        (folder / "io").write_text(f"rchar: 1\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\ncancelled_write_bytes: 5\n")


def test_a_tree_is_summed_up_with_what_its_dead_have_used(tmp_path: Path) -> None:
    process(tmp_path, 10, ticks=94, pss_kb=2048, io=(1, 2), children="20 30")
    process(tmp_path, 20, ticks=194, io=(10, 20), children="40")
    process(tmp_path, 40, ticks=294, io=(100, 200))
    process(tmp_path, 99, ticks=9999)
    usage = tree_usage(10, tmp_path)
    assert usage is not None
    assert usage.cpu_sec == round((100 + 200 + 300) / TICKS, 3), "the process 30 has just gone"
    assert usage.memory_mb == 4.0
    assert (usage.read_bytes, usage.written_bytes) == (111, 222)


def test_bytes_that_may_not_be_seen_are_not_made_up(tmp_path: Path) -> None:
    process(tmp_path, 10, io=None)
    usage = tree_usage(10, tmp_path)
    assert usage is not None
    assert (usage.read_bytes, usage.written_bytes) == (None, None)


def test_who_is_gone_takes_nothing(tmp_path: Path) -> None:
    assert tree_usage(10, tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_a_real_tree_holds_a_worker_and_remembers_its_work() -> None:
    """A child that keeps 64 MiB and a grandchild that has worked and ended."""
    program = (
        "import subprocess, sys\n"
        "kept = b'x' * (64 << 20)\n"
        "subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'])\n"
        "print('there', flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", program]
    before = tree_usage(os.getpid())
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        alone, whole = tree_usage(child.pid), tree_usage(os.getpid())
        child.communicate()
    assert before is not None
    assert alone is not None
    assert whole is not None
    assert alone.memory_mb > 64
    assert alone.cpu_sec > 0.05, "the grandchild's work, though it has ended"
    assert whole.memory_mb >= alone.memory_mb
    assert whole.cpu_sec >= before.cpu_sec + alone.cpu_sec - 0.05
