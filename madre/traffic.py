"""What services count of their requests, read off their Prometheus text, and what that says about a stretch of time.

Pure. The families are those of `config/metrics.py` and `config/processes.py`; quantiles are estimated as Prometheus
does it (histogram_quantile: straight lines inside a bucket), so a dashboard and `/vx11/status` agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from config.metrics import STATUS_CLASSES, Spread

_LINE = re.compile(r"^vx11_(requests_total|answer_seconds_(?:bucket|sum))\{([^}]*)\} (\S+)$", re.MULTILINE)
_STORAGE = re.compile(r"^vx11_process_(read|written)_bytes_total\{[^}]*\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_ERRORS = "5xx"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests by class of status, and how long their answers took to begin."""

    by_status: Mapping[str, int]
    answers: Spread

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.by_status.values())

    @property
    def errors(self) -> int:
        """Those that the service itself failed."""
        return self.by_status[_ERRORS]

    @property
    def nothing(self) -> Traffic:
        """The same before the first request."""
        return Traffic(
            dict.fromkeys(self.by_status, 0), Spread(self.answers.bounds, (0,) * len(self.answers.within), 0)
        )


def read_traffic(exposition: str) -> Traffic | None:
    """The traffic that a service's /metrics tells of; None where it tells of none."""
    by_status, within, seconds = dict.fromkeys(STATUS_CLASSES, 0), dict[float, int](), 0.0
    for family, labelled, value in _LINE.findall(exposition):
        labels = dict(_LABEL.findall(labelled))
        if family == "requests_total":
            by_status[labels["status"]] = int(float(value))
        elif family == "answer_seconds_bucket":
            within[float(labels["le"])] = int(float(value))
        else:
            seconds = float(value)
    if not within:
        return None
    bounds = tuple(sorted(within))
    return Traffic(by_status, Spread(bounds, tuple(within[bound] for bound in bounds), seconds))


def read_storage(exposition: str) -> tuple[int, int] | None:
    """The bytes that a service says it had read from and written to storage; None where it does not say."""
    said = {way: int(float(count)) for way, count in _STORAGE.findall(exposition)}
    return (said["read"], said["written"]) if len(said) == 2 else None


def between(earlier: Traffic, later: Traffic) -> Traffic:
    """What came between two looks; all of `later` where the service began anew in between."""
    if earlier.answers.bounds != later.answers.bounds or earlier.requests > later.requests:
        return later
    by_status = {status: count - earlier.by_status[status] for status, count in later.by_status.items()}
    within = tuple(now - then for then, now in zip(earlier.answers.within, later.answers.within, strict=True))
    return Traffic(by_status, Spread(later.answers.bounds, within, later.answers.seconds - earlier.answers.seconds))


def quantile(spread: Spread, share: float) -> float | None:
    """The seconds that `share` of all took at most; the last finite bound where it lies beyond, None of nothing."""
    total = spread.within[-1]
    if total == 0:
        return None
    rank = share * total
    below, lower = 0, 0.0
    for bound, count in zip(spread.bounds, spread.within, strict=True):
        if count >= rank and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
        below, lower = count, bound
    return lower
