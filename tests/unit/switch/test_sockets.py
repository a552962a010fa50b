"""Where the sockets of workers lie."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.adapters.sockets import SocketFolder


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime folder whose path is short, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="vx11-") as folder:
        yield Path(folder)


def test_each_socket_has_a_path_of_its_own_in_a_folder_for_this_user(runtime: Path) -> None:
    sockets = SocketFolder(runtime)
    first, second = Path(sockets.fresh()), Path(sockets.fresh())
    assert first != second
    assert first.parent == second.parent == runtime / "workers"
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    sockets.remove()
    assert list(runtime.iterdir()) == []


def test_nothing_is_made_before_it_is_wanted(runtime: Path) -> None:
    SocketFolder(runtime).remove()
    assert list(runtime.iterdir()) == []


def test_what_a_killed_switch_left_is_removed(runtime: Path) -> None:
    left = Path(SocketFolder(runtime).fresh())
    left.touch()
    assert SocketFolder(runtime).fresh()
    assert not left.exists()


def test_a_deep_data_folder_gets_a_short_path_elsewhere(runtime: Path) -> None:
    sockets = SocketFolder(runtime / ("deep" * 30))
    path = sockets.fresh()
    assert len(path) <= 107
    assert Path(path).parent.is_dir()
    sockets.remove()
    assert not Path(path).parent.exists()
