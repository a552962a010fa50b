"""Every metric that all services share, in one place; rooms add their own to the same registry.

Names: `vx11_<noun>_<unit>`; counters end in `_total`. A registry belongs to one app, so several apps can
live in one test process. Label values come from small fixed sets, never from a path or a token. Requests
are counted in plain numbers, which a collector turns into metrics when somebody scrapes: a lock and a label
look-up for each of them cost a tenth of the door's whole work.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Metrics(Collector):
    """The metrics of one service; used from its event loop's thread alone."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._in_flight = 0
        # Every status class exists from the start: a dashboard must not miss a series that is still 0.
        self._by_class = [0] * len(_STATUS_CLASSES)
        self._by_latency = [0] * (len(_LATENCY_BUCKETS) + 1)
        self._seconds = 0.0
        self.registry.register(self)

    def began(self) -> None:
        """Count a request that has come in."""
        self._in_flight += 1

    def ended(self, status: int, seconds: float) -> None:
        """Count a request that has been answered, or given up."""
        self._in_flight -= 1
        self._by_class[status // 100 - 1] += 1
        self._by_latency[bisect_left(_LATENCY_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """What the numbers are now, as Prometheus metrics."""
        labels = ["service"]
        requests = CounterMetricFamily("vx11_requests", "HTTP requests by class of status.", labels=[*labels, "status"])
        for status, count in zip(_STATUS_CLASSES, self._by_class, strict=True):
            requests.add_metric([self._service, status], count)
        yield requests
        in_flight = GaugeMetricFamily("vx11_requests_in_flight", "HTTP requests being served.", labels=labels)
        in_flight.add_metric([self._service], self._in_flight)
        yield in_flight
        latency = HistogramMetricFamily(
            "vx11_request_seconds", "Time to the end of the answer, streams included.", labels=labels
        )
        bounds = [*(str(bound) for bound in _LATENCY_BUCKETS), "+Inf"]
        latency.add_metric(
            [self._service], list(zip(bounds, accumulate(self._by_latency), strict=True)), sum_value=self._seconds
        )
        yield latency

    def exposition(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self.registry)
