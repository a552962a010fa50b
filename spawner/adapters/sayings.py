"""Reads what a daughter said, also while she says it, from the folder of segments that her warden keeps.

Each file is named for the offset of its first byte (`spawner/nursery/segments.py`); where one does not begin at the end
of the one before it, what was between was not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spawner.nursery.segments import Segments

_TAIL_BYTES: Final = 4096
_LONGEST_CHARACTER: Final = 4  # bytes, in UTF-8


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of output. `omitted` bytes before it are gone; `total` is all that was said so far."""

    text: str
    omitted: int
    next_offset: int
    total: int


def read_output(folder: Path, offset: int, most: int, *, is_whole: bool) -> Piece:
    """Up to `most` bytes from `offset` on, or from where anything is kept; a character that is half there waits for its
    rest, unless the output `is_whole`."""
    parts = _parts(folder)
    total = max((start + size for start, size, _ in parts), default=0)
    found = next(((start, size, path) for start, size, path in parts if start + size > offset), None)
    if found is None:
        return Piece("", 0, offset, total)
    start, _, path = found
    begin = max(start, offset)
    data = _read(path, begin - start, most)
    if not (is_whole and begin + len(data) >= total):
        data = _whole_characters(data)
    return Piece(data.decode("utf-8", "replace"), begin - offset, begin + len(data), total)


def read_tail(folder: Path) -> str:
    """The last few thousand bytes that were said."""
    parts = _parts(folder)
    total = max((start + size for start, size, _ in parts), default=0)
    tail = b"".join(_read(path, max(0, total - _TAIL_BYTES - start), _TAIL_BYTES) for start, _, path in parts[-2:])
    return tail[-_TAIL_BYTES:].decode("utf-8", "replace")


def total_of(folder: Path) -> int:
    """How many bytes were said."""
    return max((start + size for start, size, _ in _parts(folder)), default=0)


def write_output(folder: Path, text: str) -> int:
    """Keep what a tool answered as if a daughter had said it; how many bytes that is."""
    data = text.encode("utf-8", "replace")
    folder.mkdir(parents=True, exist_ok=True)
    segments = Segments(folder, 2 * max(1, len(data)))
    segments.write(data)
    segments.close()
    return len(data)


def _parts(folder: Path) -> list[tuple[int, int, Path]]:
    """Offset, size and path of each file that is there, first to last."""
    found = []
    for path in sorted(folder.glob("[0-9]*")):
        try:
            found.append((int(path.name), path.stat().st_size, path))
        except OSError:  # a part of the tail that has just gone
            continue
    return found


def _read(path: Path, begin: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(most)
    except OSError:
        return b""


def _whole_characters(data: bytes) -> bytes:
    """`data` without the beginning of a character at its end."""
    for back in range(1, min(_LONGEST_CHARACTER, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # begins a character of 2, 3 or 4 bytes
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if length > back else data
        if byte < 0x80:
            return data
    return data
