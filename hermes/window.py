"""A GGUF header read from the first bytes of a file that is still elsewhere."""

from __future__ import annotations

from typing import BinaryIO, Final, cast

from config.errors import BadModelFile
from hermes.gguf import MAGIC, GgufHeader, read_header

FIRST_BYTES: Final = 256 << 10  # holds the keys and tensors of a model with a small vocabulary
UNKNOWN_SIZE: Final = 1 << 62


class NeedMore(Exception):
    """The header goes on beyond what is here; `wanted` is how many bytes it takes at least."""

    def __init__(self, wanted: int) -> None:
        super().__init__(wanted)
        self.wanted = wanted


class Window:
    """The beginning of a file as a stream: reading beyond what is here raises NeedMore, seeking does not."""

    def __init__(self, beginning: bytes, size: int) -> None:
        self._bytes = memoryview(beginning)
        self._size = size
        self._at = 0

    def read(self, count: int) -> bytes:
        """The next bytes; short only at the true end of the file."""
        end = min(self._at + count, self._size)
        if end > len(self._bytes):
            raise NeedMore(end)
        taken = bytes(self._bytes[self._at : end])
        self._at += len(taken)
        return taken

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move on from here (`whence` 1), as the header's reader does."""
        self._at = self._at + offset if whence == 1 else offset
        return self._at


def header_in(beginning: bytes, size: int | None) -> GgufHeader:
    """The header of a file of `size` bytes (None: nobody said) that begins so; NeedMore or BadModelFile."""
    whole = UNKNOWN_SIZE if size is None else size
    return read_header(cast(BinaryIO, Window(beginning, whole)), whole)


def ensure_opening(beginning: bytes) -> None:
    """BadModelFile for a web page or anything else that is no model, by its first bytes."""
    if not beginning.startswith(MAGIC[: len(beginning)]):
        raise BadModelFile(f"The server sent something that is not GGUF: it begins with {beginning[:16]!r}.")


def next_length(have: int, wanted: int, most: int) -> int:
    """How many bytes from the beginning to have next: at least twice as many, never more than `most`."""
    return min(most, max(FIRST_BYTES, 2 * have, wanted))
