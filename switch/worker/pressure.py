"""How many threads are worth running now, from what the machine gave lately. Pure: told what the clocks say.

OpenMP's threads meet at a barrier hundreds of times a token and spin while they wait. On free cores nothing is faster;
as soon as another program takes a core of theirs, each barrier waits for a time slice of the scheduler, and two
threads are ten to forty times slower than one (research notes, section 0). Two signs tell:

* **fewer**: our threads were ready to run, and waited for a core, longer than the chain around a worker makes them.
  As many as they waited for are given up. The sum of what exceeds the usual decides (CUSUM; Page 1954), so that a
  neighbour who takes a core is noticed within three looks, and a burst of our own chain is none;
* **more**: while fewer threads run than may, cores that stood idle for a while are taken back. A thread that must be
  given up again soon after makes the next try wait twice as long, up to `_MOST_PATIENCE_SEC`.

The answers do not depend on the number of threads: llama.cpp splits the work by rows of a matrix, not inside a sum
(shown by `tests/fleet/test_threads.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

_TAKEN_CORES = 0.3  # what others may take of all threads together; the chain around a worker takes half of that
_EXCESS_SEC = 0.06  # beyond it, summed; bursts of the chain and of the machine's own housekeeping reach 0.05
_SPARE_CORES = 0.7
_PATIENCE_SEC = 0.25
_MOST_PATIENCE_SEC = 8.0
_SETTLED_SEC = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the clocks say, seconds: `wall` monotonic; `waited` by threads of this process that were ready to run, all
    together; `idle` of the cores it may use, all together."""

    wall: float
    waited: float
    idle: float


class Pressure:
    """Chooses `threads`, from one to `most`."""

    def __init__(self, most: int) -> None:
        self.threads = most
        self._most = most
        self._patience = _PATIENCE_SEC
        self._raised_at = float("-inf")
        self._unhurt: Reading | None = None  # the last look up to which nothing was taken beyond the usual
        self._calm: Reading | None = None  # idle ones from here

    def begins(self, reading: Reading) -> None:
        """Steps begin after a rest. Cores that were idle in it are there to be used; it says nothing else."""
        if self._calm is not None:
            self._take_back(self._calm, reading, in_use=0)
        self._unhurt = self._calm = reading

    def rests(self, reading: Reading) -> None:
        """There is nothing more to do for now."""
        self._unhurt, self._calm = None, reading

    def looks(self, reading: Reading) -> None:
        """Steps have been running since the last look."""
        if self._unhurt is None or self._calm is None:
            return
        before = self.threads
        self._give_up(self._unhurt, reading)
        if self.threads == before and reading.wall - self._calm.wall < self._patience:
            return
        if self.threads == before:
            self._take_back(self._calm, reading, in_use=before)
        self._calm = reading

    def _give_up(self, unhurt: Reading, reading: Reading) -> None:
        """Fewer threads, when others have taken cores of theirs. One thread alone waits for nobody."""
        wall, waited = reading.wall - unhurt.wall, reading.waited - unhurt.waited
        excess = waited - _TAKEN_CORES * wall
        if self.threads == 1 or excess <= 0:
            self._unhurt = reading
        elif excess > _EXCESS_SEC:
            self.threads = max(1, self.threads - ceil(waited / wall - _TAKEN_CORES))
            self._unhurt = reading
            is_relapse = reading.wall - self._raised_at < _SETTLED_SEC
            self._patience = min(_MOST_PATIENCE_SEC, self._patience * 2) if is_relapse else _PATIENCE_SEC

    def _take_back(self, since: Reading, reading: Reading, *, in_use: int) -> None:
        """More threads than the `in_use` ones, when cores had nothing to do for long enough."""
        wall = reading.wall - since.wall
        if self.threads == self._most or wall < self._patience:
            return
        usable = in_use + floor((reading.idle - since.idle) / wall + 1 - _SPARE_CORES)
        if usable > self.threads:
            self.threads = min(self._most, usable)
            self._raised_at = reading.wall
