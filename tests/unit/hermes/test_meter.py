"""Progress: rates, time left, and what a resumed download counts."""

from __future__ import annotations

from hermes.meter import Meter, eta_sec


def test_the_rate_is_what_moved_since_the_last_tick_smoothed() -> None:
    meter = Meter(0.0)
    meter.enter("downloading", 0.0, 1000)
    meter.at(100)
    assert meter.tick(1.0).rate == 100
    meter.at(400)
    assert meter.tick(2.0).rate == 100 + 0.3 * (300 - 100)


def test_what_was_there_already_is_no_speed() -> None:
    meter = Meter(0.0)
    meter.enter("downloading", 0.0, 1000)
    meter.starts_at(900)
    meter.at(910)
    reading = meter.tick(1.0)
    assert (reading.done, reading.rate, reading.percent) == (910, 10, 91)


def test_a_new_phase_begins_at_zero() -> None:
    meter = Meter(0.0)
    meter.enter("downloading", 0.0)
    meter.at(50, 100)
    meter.enter("joining", 1.0, 10)
    reading = meter.tick(1.0)
    assert (reading.phase, reading.done, reading.total, reading.rate) == ("joining", 0, 10, None)


def test_a_restart_never_gives_a_negative_rate() -> None:
    meter = Meter(0.0)
    meter.at(500)
    meter.tick(1.0)
    meter.at(10)
    assert meter.tick(2.0).rate is not None
    assert (meter.tick(3.0).rate or 0) >= 0


def test_time_left_is_only_told_where_it_is_known() -> None:
    assert eta_sec(50, 100, 10.0) == 5
    assert eta_sec(50, None, 10.0) is None
    assert eta_sec(50, 100, None) is None
    assert eta_sec(50, 100, 0.0) is None
    assert eta_sec(150, 100, 10.0) == 0
