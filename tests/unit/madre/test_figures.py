"""Samples in, figures of the last minute out."""

from __future__ import annotations

from config.contracts.power import ServiceFigures
from config.metrics import Spread
from madre.drivers import Usage
from madre.figures import Figures
from madre.traffic import Traffic

OLD = {"switch": 3600.0}
LIMITS = {"switch": 128.0, "hermes": 128.0}


def traffic(requests: int, errors: int = 0) -> Traffic:
    by_status = {"1xx": 0, "2xx": requests - errors, "3xx": 0, "4xx": 0, "5xx": errors}
    return Traffic(by_status, Spread((0.1, float("inf")), (requests, requests), 0.05 * requests))


def test_nothing_is_known_of_who_was_never_sampled() -> None:
    assert Figures(LIMITS).of("switch") == ServiceFigures()


def test_a_first_sample_says_how_much_but_not_how_fast() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(3.0, 40.0, 7, 9)}, at=100, ages={})
    figures.answered({"switch": traffic(5)}, at=100, ages={})
    shown = figures.of("switch")
    assert shown.usage is not None
    assert (shown.usage.cpu_sec, shown.usage.cpu_percent, shown.usage.memory_mb) == (3.0, None, 40.0)
    assert (shown.usage.read_bytes, shown.usage.written_bytes, shown.usage.memory_limit_mb) == (7, 9, 128)
    assert shown.traffic is None


def test_rates_are_those_of_the_last_minute() -> None:
    figures = Figures(LIMITS)
    for at, cpu_sec, requests in ((0, 0.0, 0), (15, 10.0, 100), (60, 13.0, 104), (75, 13.6, 106)):
        figures.took({"switch": Usage(cpu_sec, 40.0)}, at, OLD)
        figures.answered({"switch": traffic(requests, errors=requests // 100)}, at, OLD)
    shown = figures.of("switch")
    assert shown.usage is not None
    assert shown.traffic is not None
    assert shown.usage.cpu_percent == 6.0, "3.6 CPU seconds in the 60 seconds since the sample at 15"
    assert (shown.traffic.over_sec, shown.traffic.requests, shown.traffic.errors) == (60, 6, 0)
    assert (shown.traffic.p50_ms, shown.traffic.p99_ms) == (50.0, 99.0)


def test_a_new_life_begins_anew() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(50.0, 40.0)}, at=0, ages={})
    figures.took({"switch": Usage(0.5, 30.0)}, at=10, ages={})
    shown = figures.of("switch").usage
    assert shown is not None
    assert (shown.cpu_sec, shown.cpu_percent) == (0.5, None)


def test_who_sleeps_is_forgotten_and_the_others_are_not() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(1.0, 40.0), "hermes": Usage(1.0, 30.0)}, at=0, ages={})
    figures.took({"hermes": Usage(1.1, 30.0)}, at=15, ages={})
    assert figures.of("switch").usage is None
    assert set(figures.usage) == {"hermes"}


def test_a_limit_that_the_driver_enforces_counts() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(1.0, 40.0, memory_limit_mb=900.0)}, at=0, ages={})
    assert figures.limits_mb == {"switch": 900.0, "hermes": 128.0}


def test_a_young_life_has_counted_from_nothing() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(2.0, 40.0)}, at=100, ages={"switch": 10.0})
    figures.answered({"switch": traffic(4, errors=1)}, at=100, ages={"switch": 10.0})
    shown = figures.of("switch")
    assert shown.usage is not None
    assert shown.traffic is not None
    assert shown.usage.cpu_percent == 20.0
    assert (shown.traffic.over_sec, shown.traffic.requests, shown.traffic.errors) == (10, 4, 1)


def test_a_life_that_began_before_anybody_looked_is_not_taken_for_a_young_one() -> None:
    figures = Figures(LIMITS)
    figures.answered({"switch": traffic(4000)}, at=100, ages=OLD)
    assert figures.of("switch").traffic is None


def test_a_life_that_follows_another_counts_from_its_own_start() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(50.0, 40.0)}, at=0, ages=OLD)
    figures.took({"switch": Usage(1.0, 30.0)}, at=100, ages={"switch": 4.0})
    shown = figures.of("switch").usage
    assert shown is not None
    assert shown.cpu_percent == 25.0


def test_what_a_driver_cannot_tell_the_service_says_itself() -> None:
    figures = Figures(LIMITS)
    figures.took({"switch": Usage(1.0, 40.0), "hermes": Usage(1.0, 40.0, 7, 9)}, at=0, ages=OLD)
    figures.moved({"switch": (100, 200), "hermes": (1, 1)})
    assert (figures.usage["switch"].read_bytes, figures.usage["switch"].written_bytes) == (100, 200)
    assert (figures.usage["hermes"].read_bytes, figures.usage["hermes"].written_bytes) == (7, 9)
    shown = figures.of("switch").usage
    assert shown is not None
    assert (shown.read_bytes, shown.written_bytes) == (100, 200)
