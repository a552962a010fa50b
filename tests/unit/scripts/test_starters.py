"""Which starter models are still to be pulled."""

from __future__ import annotations

from pathlib import Path

from hermes.catalogue import load_catalogue
from scripts.cli.starters import missing

ENTRIES = list(load_catalogue().entries.values())
STARTERS = [entry for entry in ENTRIES if entry.starter]


def test_an_empty_or_absent_folder_misses_all_starters_and_nothing_else(tmp_path: Path) -> None:
    names = [entry.name for entry in STARTERS]
    assert missing(tmp_path, ENTRIES) == missing(tmp_path / "absent", ENTRIES) == names
    assert len(names) == 2


def test_a_file_counts_by_its_size_whatever_it_is_called(tmp_path: Path) -> None:
    first, second = STARTERS
    with (tmp_path / "another-name.gguf").open("wb") as file:
        file.truncate(first.size_bytes)
    assert missing(tmp_path, ENTRIES) == [second.name]


def test_half_a_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / f"{STARTERS[0].name}.gguf").write_bytes(b"GGUF")
    assert STARTERS[0].name in missing(tmp_path, ENTRIES)
