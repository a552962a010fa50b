"""Every metric that all services share, in one place; rooms add their own to the same registry.

Names: `vx11_<noun>_<unit>`; counters end in `_total`. A registry belongs to one app, so several apps can
live in one test process. Label values come from small fixed sets, never from a path or a token.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Metrics:
    """The metrics of one service."""

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "vx11_requests", "HTTP requests by class of status.", ["service", "status"], registry=self.registry
        )
        # Every label value exists from the start: a dashboard must not miss a series that is still 0.
        self._requests = {status: requests.labels(service, status) for status in _STATUS_CLASSES}
        self._latency = Histogram(
            "vx11_request_seconds",
            "Time to the end of the answer, streams included.",
            ["service"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        ).labels(service)
        self._in_flight = Gauge(
            "vx11_requests_in_flight", "HTTP requests being served.", ["service"], registry=self.registry
        ).labels(service)

    def began(self) -> None:
        """Count a request that has come in."""
        self._in_flight.inc()

    def ended(self, status: int, seconds: float) -> None:
        """Count a request that has been answered, or given up."""
        self._in_flight.dec()
        self._requests[_STATUS_CLASSES[status // 100 - 1]].inc()
        self._latency.observe(seconds)

    def exposition(self) -> bytes:
        """All metrics as Prometheus text."""
        return generate_latest(self.registry)
