"""The shared metrics."""

from __future__ import annotations

from config.metrics import Family, Labels, Metrics, Spread, SpreadFamily


def values(metrics: Metrics) -> dict[str, float]:
    lines = metrics.exposition().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_every_series_is_there_before_anything_happened() -> None:
    found = values(Metrics("madre"))
    for status in ("1xx", "2xx", "3xx", "4xx", "5xx"):
        assert found[f'vx11_requests_total{{service="madre",status="{status}"}}'] == 0


def test_a_request_counts_once_by_its_class() -> None:
    metrics = Metrics("madre")
    metrics.began()
    assert values(metrics)['vx11_requests_in_flight{service="madre"}'] == 1
    metrics.ended(499, 0.02, 0.004)
    found = values(metrics)
    assert found['vx11_requests_in_flight{service="madre"}'] == 0
    assert found['vx11_requests_total{service="madre",status="4xx"}'] == 1
    assert found['vx11_request_seconds_bucket{le="0.025",service="madre"}'] == 1
    assert found['vx11_request_seconds_bucket{le="0.005",service="madre"}'] == 0
    assert found['vx11_answer_seconds_bucket{le="0.005",service="madre"}'] == 1
    assert found['vx11_answer_seconds_bucket{le="0.0025",service="madre"}'] == 0
    assert found['vx11_answer_seconds_sum{service="madre"}'] == 0.004


def test_a_room_adds_its_own_and_is_asked_at_each_scrape() -> None:
    metrics, taken = Metrics("madre"), dict[Labels, float]({("switch",): 1.5})
    metrics.add(lambda: [Family("counter", "vx11_x_seconds", "Seconds of x.", ("service",), taken)])
    spread = Spread((0.5, float("inf")), (2, 3), 4.0)
    metrics.add(lambda: [SpreadFamily("vx11_y_seconds", "How long y took.", ("service",), {("hermes",): spread})])
    assert values(metrics)['vx11_x_seconds_total{service="switch"}'] == 1.5
    taken["switch",] = 2.0
    found = values(metrics)
    assert found['vx11_x_seconds_total{service="switch"}'] == 2.0
    assert found['vx11_y_seconds_bucket{le="0.5",service="hermes"}'] == 2
    assert found['vx11_y_seconds_bucket{le="+Inf",service="hermes"}'] == 3
    assert found['vx11_y_seconds_count{service="hermes"}'] == 3
