"""Bars repaint where a person watches and become a few lines where nobody does."""

from __future__ import annotations

import io

from scripts.terminal import Terminal
from tests.support.clock import ManualClock


def a_terminal(*, live: bool = False, colour: bool = False) -> tuple[Terminal, io.StringIO, ManualClock]:
    stream, clock = io.StringIO(), ManualClock()
    return Terminal(stream, live=live, colour=colour, monotonic=clock.monotonic), stream, clock


def test_a_plain_bar_says_each_tenth_once() -> None:
    terminal, stream, _ = a_terminal()
    with terminal.bar("packages", 100) as bar:
        for done in range(101):
            bar.update(done)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "  packages: 0 of 100"
    assert lines[-1] == "  packages: 100 of 100"
    assert len(lines) == 11


def test_a_plain_bar_keeps_a_log_alive_when_nothing_moves() -> None:
    terminal, stream, clock = a_terminal()
    with terminal.bar("llama.cpp", 83) as bar:
        clock.advance(29)
        bar.tick()
        assert len(stream.getvalue().splitlines()) == 1
        clock.advance(2)
        bar.tick()
    assert len(stream.getvalue().splitlines()) == 2


def test_what_is_left_is_estimated_from_the_moment_the_size_is_known() -> None:
    terminal, stream, clock = a_terminal()
    with terminal.bar("llama.cpp") as bar:
        clock.advance(1_000)
        bar.begin(80)
        clock.advance(60)
        bar.update(20, "ggml.c")
    assert stream.getvalue().splitlines()[-1] == "  llama.cpp: 20 of 80, ggml.c, about 3 min left"


def test_a_live_bar_repaints_its_line_and_gives_way_to_text() -> None:
    terminal, stream, _ = a_terminal(live=True)
    with terminal.bar("packages", 2) as bar:
        bar.update(2)
    terminal.say("done")
    painted = stream.getvalue()
    assert painted.count("\n") == 1
    assert painted.endswith("\r\x1b[Jdone\n")
    assert "[########################] 2 of 2" in painted


def test_painting_takes_the_lines_before_off_the_screen() -> None:
    terminal, stream, _ = a_terminal(live=True)
    terminal.paint(["one", "two", "three"])
    terminal.paint(["four"])
    assert stream.getvalue() == "one\ntwo\nthree\r\x1b[2A\x1b[Jfour"


def test_a_line_too_long_for_the_window_is_cut_but_its_colour_ends() -> None:
    terminal, stream, _ = a_terminal(live=True, colour=True)
    terminal.paint([terminal.bad("x" * 5_000)])
    assert stream.getvalue().endswith("x\x1b[0m")
    assert len(stream.getvalue()) < 4_000


def test_colour_stays_off_where_nobody_watches() -> None:
    terminal, _, _ = a_terminal(live=False, colour=True)
    assert terminal.bad("no") == "no"
