"""What ties the life of a worker to its parent's: no worker is left behind, whatever happens to Switch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_OOM_SCORE = "500"


def be_the_first_to_go() -> None:
    """Tell the kernel that in want of memory a model goes before a service; a model can be loaded again."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def process_memory() -> dict[str, int]:
    """What this process holds now, in bytes: `pss` and `anonymous` of proc_pid_smaps_rollup(5), where there is one."""
    with suppress(OSError):
        lines = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
        kib = {words[0].rstrip(":").lower(): int(words[1]) for words in lines}
        return {f"{name}_bytes": kib[name] * 1024 for name in ("rss", "pss", "anonymous")}
    return {}


class Stdin:
    """The parent's end of stdin: when it closes, `on_close` is called, or the process leaves at once."""

    def __init__(self, stdin: BinaryIO) -> None:
        self._stdin = stdin
        self._on_close: Callable[[], None] = _leave

    def first_line(self, limit: int) -> bytes:
        """The first line the parent writes, at most `limit` bytes of it; from then on stdin is watched.

        The watching is done on a thread of its own: the main thread is deep in C while a model loads.
        """
        line = self._stdin.readline(limit)
        threading.Thread(target=self._wait, name="stdin", daemon=True).start()
        return line

    def on_close(self, call: Callable[[], None]) -> None:
        """From now on call this, instead of leaving at once."""
        self._on_close = call

    def _wait(self) -> None:
        while self._stdin.read(4096):
            pass
        self._on_close()


def _leave() -> None:
    os._exit(0)
