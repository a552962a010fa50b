"""What a service is in the middle of, so that power never stops it mid-work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class WorkMeter:
    """Counts pieces of work in progress by kind; `/health` tells madre, who leaves a busy service alone."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def doing(self, kind: str) -> Iterator[None]:
        """Count one piece of work of this kind while the block runs."""
        self._under_way[kind] += 1
        try:
            yield
        finally:
            self._under_way[kind] -= 1

    @property
    def in_progress(self) -> int:
        """Pieces of work in progress, all kinds together."""
        return self._under_way.total()

    def by_kind(self) -> dict[str, int]:
        """Pieces of work in progress, for each kind that has any."""
        return {kind: count for kind, count in self._under_way.items() if count}
