"""Only the layers of `.venv` that changed are made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.setup import fingerprint
from scripts.surroundings import REPOSITORY


def a_repository(folder: Path) -> Path:
    for lock in ("requirements", "requirements-llama", "requirements-build", "requirements-test"):
        (folder / f"{lock}.lock").write_text(f"{lock}==1\n")
    return folder


@pytest.mark.parametrize(
    ("lock", "layer"),
    [
        ("requirements.lock", "packages"),
        ("requirements-llama.lock", "llama"),
        ("requirements-build.lock", "llama"),
        ("requirements-test.lock", "tests"),
    ],
)
def test_a_changed_lock_makes_its_own_layer_stale(tmp_path: Path, lock: str, layer: str) -> None:
    repository = a_repository(tmp_path)
    before = fingerprint.wanted(repository, fingerprint.TESTS)
    (repository / lock).write_text("something==2\n")
    assert fingerprint.stale(before, fingerprint.wanted(repository, fingerprint.TESTS)) == [layer]


def test_a_moved_repository_makes_the_environment_stale(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    before = fingerprint.wanted(a_repository(first), fingerprint.RUNTIME)
    assert fingerprint.stale(before, fingerprint.wanted(a_repository(second), fingerprint.RUNTIME)) == ["python"]


def test_a_stamp_is_read_back(tmp_path: Path) -> None:
    fingerprint.write(tmp_path, {"python": "3.11"})
    assert fingerprint.read(tmp_path) == {"python": "3.11"}


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00"])
def test_a_damaged_stamp_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / fingerprint.STAMP).write_text(content)
    assert fingerprint.read(tmp_path) == {}


def test_every_layer_of_this_repository_can_be_fingerprinted_and_sized() -> None:
    wanted = fingerprint.wanted(REPOSITORY, fingerprint.TESTS)
    assert list(wanted) == list(fingerprint.TESTS)
    assert wanted.keys() <= fingerprint.DISK_NEEDED.keys()
