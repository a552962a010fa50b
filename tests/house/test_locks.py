"""The lock files: every package pinned by hash, no index named, nothing asked for left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.setup.packages import pins
from scripts.surroundings import REPOSITORY

LOCKS = sorted(REPOSITORY.glob("requirements*.lock"))
_BLOCK = re.compile(r"^\S.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_there_are_four() -> None:
    assert [lock.stem for lock in LOCKS] == [
        "requirements-build", "requirements-llama", "requirements-test", "requirements",
    ]  # fmt: skip


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_by_hash(lock: Path) -> None:
    text = lock.read_text()
    blocks = _BLOCK.findall(text)
    assert len(blocks) == len(pins(text))
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_address_is_named(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"via .*|^[\w.-]+==", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_all_that_is_asked_for_is_pinned(lock: Path) -> None:
    wanted = [re.split(r"[\[=~<>! ]", line)[0] for line in lock.with_suffix(".in").read_text().splitlines()]
    wanted = [normal(name) for name in wanted if name and not name.startswith("#")]
    assert set(wanted) <= {normal(name) for name in pins(lock.read_text())}


def test_tests_run_against_what_the_fleet_runs_on() -> None:
    def versions(name: str) -> dict[str, str]:
        text = (REPOSITORY / name).read_text()
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))

    runtime, tests = versions("requirements.lock"), versions("requirements-test.lock")
    shared = runtime.keys() & tests.keys()
    assert shared
    assert {name: tests[name] for name in shared} == {name: runtime[name] for name in shared}
