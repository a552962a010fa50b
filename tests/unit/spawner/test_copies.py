"""The folder of a dry run: copied, compared, removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spawner.adapters.copies import TooMuchError, changes, copy_of
from spawner.cage import Change, ChangedFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    (made / "deep").mkdir(parents=True)
    (made / "file").write_text("one")
    (made / "deep" / "file").write_text("two")
    (made / "link").symlink_to("/etc/passwd")
    return made


def test_a_copy_is_the_same_and_goes(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        assert changes(folder, copy) == ()
        assert (copy / "deep" / "file").read_text() == "two"
        assert (copy / "link").is_symlink()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["work"]


def test_a_change_shows_even_where_size_and_time_are_the_same(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        was = (copy / "file").stat()
        (copy / "file").write_text("eno")
        os.utime(copy / "file", ns=(was.st_atime_ns, was.st_mtime_ns))
        assert changes(folder, copy) == (ChangedFile("file", Change.MODIFIED),)


def test_each_kind_of_change_is_told(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        (copy / "file").unlink()
        (copy / "file").mkdir()
        (copy / "link").unlink()
        (copy / "link").symlink_to("/elsewhere")
        (copy / "deep" / "file").unlink()
        (copy / "new").write_text("")
        os.mkfifo(copy / "pipe")
        (copy / "program").symlink_to("new")
        told = {changed.path: changed.change for changed in changes(folder, copy)}
    assert told == {
        "file": Change.MODIFIED,
        "link": Change.MODIFIED,
        "deep/file": Change.DELETED,
        "new": Change.ADDED,
        "pipe": Change.ADDED,
        "program": Change.ADDED,
    }


def test_a_mode_is_a_change(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        (copy / "file").chmod(0o755)
        assert changes(folder, copy) == (ChangedFile("file", Change.MODIFIED),)


def test_a_large_folder_is_not_copied(folder: Path) -> None:
    with open(folder / "large", "wb") as large:
        large.truncate(2 << 20)
    with pytest.raises(TooMuchError, match="2 MiB of at most 1"), copy_of(folder, 1):
        pass
    assert sorted(path.name for path in folder.parent.iterdir()) == ["work"]


def test_a_name_that_is_no_utf_8_is_spelt_out(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        (copy / os.fsdecode(b"new\xff")).touch()
        assert changes(folder, copy) == (ChangedFile("new\\xff", Change.ADDED),)


def test_no_workspace_can_be_called_like_a_copy(folder: Path) -> None:
    with copy_of(folder, 1) as copy:
        assert copy.name.startswith("."), "the names of workspaces begin with a letter or a digit"
