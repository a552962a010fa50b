"""What a daughter may take and how her cage describes itself."""

from __future__ import annotations

import pytest

from config.errors import Invalid, TooLarge
from spawner.adapters.guards import means
from spawner.cage import MAX_CODE_BYTES, PYTHON, Ending, Guard, Level, Limits, Promise, Rung, Verdict, argv_of


def test_code_runs_in_a_clean_interpreter() -> None:
    assert argv_of("python", "print(1)") == (PYTHON, "-I", "-S", "-B", "-u", "-c", "print(1)")
    assert argv_of("shell", "ls | wc") == ("/bin/sh", "-c", "ls | wc")


@pytest.mark.parametrize(("task_type", "code"), [("ruby", "1"), ("python", "a\x00b")])
def test_what_cannot_be_run_is_invalid(task_type: str, code: str) -> None:
    with pytest.raises(Invalid):
        argv_of(task_type, code)


def test_code_is_measured_in_bytes() -> None:
    argv_of("python", "é" * (MAX_CODE_BYTES // 2))
    with pytest.raises(TooLarge):
        argv_of("python", "é" * (MAX_CODE_BYTES // 2 + 1))


def test_limits_are_above_zero() -> None:
    with pytest.raises(Invalid, match="memory_mb"):
        Limits(memory_mb=0)


def test_a_level_is_fit_for_the_untrusted_when_it_keeps_every_promise() -> None:
    kept = tuple(Guard(promise, "by something", kept=True) for promise in Promise)
    assert Level(Rung.LANDLOCK, kept).is_fit_for_untrusted
    weak = (Guard(Promise.READING, "file permissions alone", kept=False), *kept[1:])
    assert not Level(Rung.RLIMITS, weak).is_fit_for_untrusted
    assert Level(Rung.RLIMITS, weak).open_promises == (Promise.READING,)
    assert not Level(Rung.RLIMITS, kept[1:]).is_fit_for_untrusted


def test_rungs_are_numbered_from_the_weakest() -> None:
    assert [Level(rung, ()).number for rung in (Rung.RLIMITS, Rung.LANDLOCK, Rung.SANDLOCK)] == [1, 2, 3]


@pytest.mark.parametrize("rung", Rung)
@pytest.mark.parametrize("user", [None, 61_184])
def test_every_card_speaks_of_every_promise(rung: Rung, user: int | None) -> None:
    assert list(means(rung, user, 7)) == list(Promise)
    assert all(means(rung, user, 0).values())


def test_only_a_clean_exit_succeeds() -> None:
    assert Verdict(Ending.EXITED, exit_code=0).succeeded
    assert not Verdict(Ending.EXITED, exit_code=1).succeeded
    assert not Verdict(Ending.TIMEOUT, exit_code=0).succeeded
