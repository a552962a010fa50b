"""How many threads a worker gets at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.cores import usable_cores
from switch.threads import Threads, threads_for


def test_each_core_that_may_be_used_gets_one() -> None:
    assert threads_for(None, None, 4) == Threads(4, 4)
    assert threads_for(None, None) == threads_for(None, None, usable_cores())


def test_a_setting_is_a_setting() -> None:
    assert threads_for(3, 5, 2) == Threads(3, 5)
    assert threads_for(3, None, 2) == Threads(3, 2)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("nonsense", None), ("99999900000 100000", None)],
)
def test_a_containers_share_of_the_cpu_counts(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    unlimited = usable_cores(tmp_path / "there is none")
    assert usable_cores(tmp_path / "cpu.max") == (cores or unlimited)
