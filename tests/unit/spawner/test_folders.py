"""What daughters leave on the disk: measured, and removed."""

from __future__ import annotations

from pathlib import Path

from spawner.adapters.folders import Folders


def test_a_folder_takes_what_its_blocks_take_and_each_name_something(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    place = folders.work("spawn-1", 1)
    (place / "large").write_bytes(b"x" * (2 << 20))
    with open(place / "holes", "wb") as holes:
        holes.truncate(1 << 30)
    for number in range(100):
        (place / str(number)).touch()
    assert 2.1 <= folders.size_mb(folders.of_job("spawn-1")) < 2.5
    assert folders.size_mb(tmp_path / "none") == 0


def test_what_a_daughter_has_closed_is_measured_and_removed_all_the_same(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    hidden = folders.work("spawn-1", 1) / "hidden"
    hidden.mkdir()
    (hidden / "large").write_bytes(b"x" * (1 << 20))
    hidden.chmod(0)
    assert folders.size_mb(folders.of_job("spawn-1")) > 1
    hidden.chmod(0)
    folders.forget("spawn-1")
    assert folders.jobs() == []


def test_what_a_job_said_outlives_what_it_made(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    (folders.work("spawn-1", 1) / "file").touch()
    folders.output("spawn-1", 1).mkdir()
    folders.drop_work("spawn-1")
    assert [path.name for path in folders.of_attempt("spawn-1", 1).iterdir()] == ["output"]


def test_the_leavings_of_a_killed_spawner_go_and_workspaces_stay(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    workspace, work = folders.workspace("ana", "a.dry-0123"), folders.work("spawn-1", 1)
    leavings = [workspace.with_name(".notes.dry-01ab"), work.with_name(".work.dry-01ab"), tmp_path / "vx11-trial-x"]
    for place in leavings:
        (place / "deep").mkdir(parents=True)
    folders.sweep()
    assert [place for place in leavings if place.exists()] == []
    assert workspace.is_dir()
    assert work.is_dir()
