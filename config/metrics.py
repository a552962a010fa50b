"""Every metric that all services share, in one place; a room adds its own with `Metrics.add`.

Names: `vx11_<noun>_<unit>`; counters end in `_total`. A registry belongs to one app, so several apps can
live in one test process. Label values come from small fixed sets, never from a path or a token. Requests
are counted in plain numbers, which a collector turns into metrics when somebody scrapes: a lock and a label
look-up for each of them cost a tenth of the door's whole work.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_WHOLE_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_ANSWER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One counter (named without its `_total`) or gauge: a value for each set of label values, in `labels`' order."""

    kind: Literal["counter", "gauge"]
    name: str
    meaning: str
    labels: Labels
    values: Mapping[Labels, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """How many things took at most each bound, from the first to the last (infinite), and their sum, seconds."""

    bounds: tuple[float, ...]
    within: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class SpreadFamily:
    """One histogram: a spread for each set of label values."""

    name: str
    meaning: str
    labels: Labels
    values: Mapping[Labels, Spread]


Source = Callable[[], Iterable[Family | SpreadFamily]]


class Metrics(Collector):
    """The metrics of one service; used from its event loop's thread alone."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._in_flight = 0
        # Every status class exists from the start: a dashboard must not miss a series that is still 0.
        self._by_class = [0] * len(STATUS_CLASSES)
        self._whole, self._whole_seconds = [0] * (len(_WHOLE_BUCKETS) + 1), 0.0
        self._answer, self._answer_seconds = [0] * (len(_ANSWER_BUCKETS) + 1), 0.0
        self._sources: list[Source] = [self._requests]
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, source: Source) -> None:
        """Ask `source` for more metrics at each scrape; it answers from memory."""
        self._sources.append(source)

    def began(self) -> None:
        """Count a request that has come in."""
        self._in_flight += 1

    def ended(self, status: int, seconds: float, answer_seconds: float) -> None:
        """Count a request that was answered, or given up: after how long, and how long its answer took to begin."""
        self._in_flight -= 1
        self._by_class[status // 100 - 1] += 1
        self._whole[bisect_left(_WHOLE_BUCKETS, seconds)] += 1
        self._whole_seconds += seconds
        self._answer[bisect_left(_ANSWER_BUCKETS, answer_seconds)] += 1
        self._answer_seconds += answer_seconds

    def collect(self) -> Iterator[Metric]:
        """What the numbers are now, as Prometheus metrics."""
        for source in self._sources:
            for family in source():
                yield _spread_metric(family) if isinstance(family, SpreadFamily) else _metric(family)

    def exposition(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self._registry)

    def _requests(self) -> Iterator[Family | SpreadFamily]:
        me: Labels = (self._service,)
        classes = zip(STATUS_CLASSES, self._by_class, strict=True)
        by_class: dict[Labels, float] = {(*me, status): count for status, count in classes}
        yield Family("counter", "vx11_requests", "HTTP requests by class of status.", ("service", "status"), by_class)
        yield Family(
            "gauge", "vx11_requests_in_flight", "HTTP requests being served.", ("service",), {me: self._in_flight}
        )
        yield SpreadFamily(
            "vx11_answer_seconds",
            "Time until the answer begins; of a request given up before, until then.",
            ("service",),
            {me: _spread(_ANSWER_BUCKETS, self._answer, self._answer_seconds)},
        )
        yield SpreadFamily(
            "vx11_request_seconds",
            "Time to the end of the answer, streams included.",
            ("service",),
            {me: _spread(_WHOLE_BUCKETS, self._whole, self._whole_seconds)},
        )


def _spread(buckets: tuple[float, ...], counts: list[int], seconds: float) -> Spread:
    return Spread((*buckets, float("inf")), tuple(accumulate(counts)), seconds)


def _metric(family: Family) -> Metric:
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = make(family.name, family.meaning, labels=family.labels)
    for labels, value in family.values.items():
        metric.add_metric(labels, value)
    return metric


def _spread_metric(family: SpreadFamily) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, spread in family.values.items():
        bounds = [*(str(bound) for bound in spread.bounds[:-1]), "+Inf"]
        metric.add_metric(labels, list(zip(bounds, spread.within, strict=True)), sum_value=spread.seconds)
    return metric
