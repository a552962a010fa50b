"""Saved states on disk: what comes back is what was written, and what is not is removed."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from switch.worker.state_files import StateFiles

KEY, OTHER = b"k" * 32, b"o" * 32
TOKENS, STATE = list(range(30)), bytes(range(200))
BUDGET = 1 << 20


def write(files: StateFiles, tokens: list[int] = TOKENS, state: bytes = STATE) -> str:
    draft = files.draft(tokens, len(state))
    draft.state[:] = state
    draft.finish(durable=True)
    files.arrived(draft)
    files.trim()
    return draft.name


def read(files: StateFiles, name: str) -> tuple[list[int], bytes] | None:
    with files.reading(name) as found:
        return None if found is None else (found[0], bytes(found[1]))


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_what_was_written_is_found_in_the_next_life(tmp_path: Path) -> None:
    name = write(StateFiles(tmp_path, KEY, BUDGET))
    later = StateFiles(tmp_path, KEY, BUDGET)
    assert list(later.matches([*TOKENS, 99])) == [(30, name)]
    assert (TOKENS in later, [*TOKENS, 99] in later, TOKENS[:5] in later) == (True, False, True)
    assert read(later, name) == (TOKENS, STATE)
    assert (later.held(name), later.used) == (30, files_below(tmp_path)[0].stat().st_size)


def test_only_this_user_can_look(tmp_path: Path) -> None:
    write(StateFiles(tmp_path / "root", KEY, BUDGET))
    [file] = files_below(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (file.parent, file.parent.parent)} == {0o700}


def test_another_kind_of_state_is_never_found(tmp_path: Path) -> None:
    write(StateFiles(tmp_path, KEY, BUDGET))
    assert list(StateFiles(tmp_path, OTHER, BUDGET).matches(TOKENS)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: b"X" + data[1:],
        lambda data: data[:8] + OTHER + data[40:],
        lambda data: data[:72] + b"\xff\xff\xff\x7f" + data[76:],
    ],
)
def test_a_file_that_is_none_of_ours_goes_at_the_start(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    write(StateFiles(tmp_path, KEY, BUDGET))
    [file] = files_below(tmp_path)
    file.write_bytes(spoil(file.read_bytes()))
    assert list(StateFiles(tmp_path, KEY, BUDGET).matches(TOKENS)) == []
    assert files_below(tmp_path) == []


def test_what_is_unfinished_or_foreign_goes_and_what_is_behind_a_link_stays(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "root", KEY, BUDGET)
    name = write(files)
    [file] = files_below(tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(file.read_bytes())
    (file.parent / "a.part").write_text("half")
    (file.parent / "notes.txt").write_text("notes")
    (file.parent / "link.state").symlink_to(secret)
    (file.parent / "folder").mkdir()
    assert list(StateFiles(tmp_path / "root", KEY, BUDGET).matches(TOKENS)) == [(30, name)]
    assert files_below(tmp_path) == [file, secret]


@pytest.mark.parametrize("at", [80, 110, 300])
def test_a_damaged_byte_is_noticed_before_it_is_used(tmp_path: Path, at: int) -> None:
    files = StateFiles(tmp_path, KEY, BUDGET)
    name = write(files)
    [file] = files_below(tmp_path)
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    assert read(files, name) is None
    assert (files_below(tmp_path), list(files.matches(TOKENS))) == ([], [])


def test_a_file_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    files = StateFiles(tmp_path, KEY, BUDGET)
    name = write(files)
    files_below(tmp_path)[0].unlink()
    assert read(files, name) is None
    assert TOKENS not in files


def test_a_longer_conversation_replaces_its_beginning(tmp_path: Path) -> None:
    files = StateFiles(tmp_path, KEY, BUDGET)
    write(files)
    name = write(files, [*TOKENS, 5])
    assert [path.name for path in files_below(tmp_path)] == [name]
    assert list(files.matches(TOKENS)) == [(30, name)]


def test_the_oldest_use_goes_first_whoever_wrote_it(tmp_path: Path) -> None:
    mine, other = StateFiles(tmp_path, KEY, 1000), StateFiles(tmp_path, OTHER, 1000)
    used, unused = write(mine, [1] * 30), write(other, [2] * 30)
    for name, seconds in ((used, 1), (unused, 2)):
        [path] = tmp_path.rglob(name)
        os.utime(path, (seconds, seconds))
    read(mine, used)
    last = write(other, [3] * 30)
    assert {path.name for path in files_below(tmp_path)} == {used, last}
    assert other.used <= 1000
    assert read(other, unused) is None


def test_a_state_that_could_never_fit_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room"):
        StateFiles(tmp_path, KEY, 100).draft(TOKENS, 200)
    assert files_below(tmp_path) == []


def test_a_draft_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    files = StateFiles(tmp_path, KEY, BUDGET)
    files.draft(TOKENS, 10).discard()
    assert files_below(tmp_path) == []
