"""Logs that cannot grow without end."""

from __future__ import annotations

import os
from pathlib import Path

from config.forkserver import logfile


def test_a_large_log_is_moved_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    writing = logfile.open_for(tmp_path, "switch")
    try:
        os.write(writing, b"old\n" * 10)
        logfile.cut(tmp_path, largest_bytes=39)
        os.write(writing, b"new\n")
    finally:
        os.close(writing)
    assert logfile.path_of(tmp_path, "switch").read_text() == "new\n"
    assert (tmp_path / "switch.log.1").read_text() == "old\n" * 10


def test_a_small_log_stays(tmp_path: Path) -> None:
    os.close(logfile.open_for(tmp_path, "switch"))
    logfile.cut(tmp_path, largest_bytes=0)
    assert not (tmp_path / "switch.log.1").exists()


def test_the_last_lines_of_a_log_long_and_short(tmp_path: Path) -> None:
    assert logfile.last_lines(tmp_path, "switch", 3) == []
    logfile.path_of(tmp_path, "switch").write_text("".join(f"line {number}\n" for number in range(5000)))
    assert logfile.last_lines(tmp_path, "switch", 2) == ["line 4998", "line 4999"]
