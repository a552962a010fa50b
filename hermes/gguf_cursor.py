"""Reading GGUF's primitive values from a stream that nobody vouches for.

Every count and length is checked against what the file can still hold and against a fixed cap before
anything is allocated or looped over, so a hostile header costs a clear error, not memory or minutes.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from config.errors import BadModelFile

Scalar = bool | int | float | str
Value = Scalar | list[int]

MAX_HEADER_BYTES: Final = 128 << 20
MAX_NAME_BYTES: Final = 1 << 16  # what the format allows a key
KEPT_TEXT_BYTES: Final = 1024  # of a text value; chat templates are long, and only their being there counts
MAX_ARRAY_ITEMS: Final = 1 << 24
MAX_KEPT_ITEMS: Final = 1024  # integer arrays up to this long are kept: per-layer head counts

_STRING, _ARRAY = 8, 9
_INTEGERS = frozenset({0, 1, 2, 3, 4, 5, 10, 11})
_SCALARS: Final = {
    kind: struct.Struct(code)
    for kind, code in {
        0: "<B",
        1: "<b",
        2: "<H",
        3: "<h",
        4: "<I",
        5: "<i",
        6: "<f",
        7: "<?",
        10: "<Q",
        11: "<q",
        12: "<d",
    }.items()
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]


class Cursor:
    """A position in a GGUF header; every step forward is paid from `size`, the bytes of the whole file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._limit = min(size, MAX_HEADER_BYTES)
        self._file_ends_first = size <= MAX_HEADER_BYTES
        self.position = 0

    @property
    def left(self) -> int:
        """Bytes that a header may still take here."""
        return self._limit - self.position

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._step(count)
        taken = self._stream.read(count)
        if len(taken) != count:
            raise BadModelFile(f"The file ends in the middle of its header, at byte {self.position}.")
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        self._step(count)
        self._stream.seek(count, 1)

    def u32(self) -> int:
        """The next unsigned 32-bit number."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """The next unsigned 64-bit number."""
        return int(_U64.unpack(self.take(8))[0])

    def name(self) -> str:
        """The next string (a 64-bit length and that many bytes of UTF-8), as the name of a key or tensor."""
        length = self.u64()
        if length > MAX_NAME_BYTES:
            raise BadModelFile(f"The header holds a name of {length} bytes; GGUF allows {MAX_NAME_BYTES - 1}.")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Value | None:
        """The next value of type `kind`.

        Of a text its beginning is kept; arrays other than short ones of integers are passed over (None).
        """
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array()
        return self._scalar(kind)

    def _text(self) -> str:
        length = self.u64()
        kept = min(length, KEPT_TEXT_BYTES)
        text = self.take(kept).decode("utf-8", "replace")
        self.skip(length - kept)
        return text

    def _scalar(self, kind: int) -> Scalar:
        layout = _SCALARS.get(kind)
        if layout is None:
            raise BadModelFile(f"The header holds a value of type {kind}, which GGUF does not have.")
        unpacked: Scalar = layout.unpack(self.take(layout.size))[0]
        return unpacked

    def _array(self) -> list[int] | None:
        kind, count = self.u32(), self.u64()
        if count > MAX_ARRAY_ITEMS:
            raise BadModelFile(f"The header claims an array of {count} items; at most {MAX_ARRAY_ITEMS} are read.")
        if kind == _STRING:
            self._skip_strings(count)
            return None
        layout = _SCALARS.get(kind)
        if layout is None:
            raise BadModelFile(f"The header holds an array of type {kind}, which VX11 does not read.")
        if kind in _INTEGERS and count <= MAX_KEPT_ITEMS:
            packed = self.take(count * layout.size)
            return [int(item[0]) for item in layout.iter_unpack(packed)]
        self.skip(count * layout.size)
        return None

    def _skip_strings(self, count: int) -> None:
        if count * _U64.size > self.left:
            raise self._too_short(count * _U64.size)
        read, seek, unpack = self._stream.read, self._stream.seek, _U64.unpack
        position, limit = self.position, self._limit
        for _ in range(count):  # half a million turns for a large vocabulary: kept free of calls of ours
            head = read(8)
            position += 8
            if len(head) != 8:
                raise BadModelFile(f"The file ends in the middle of its header, at byte {position}.")
            (length,) = unpack(head)
            position += length
            if position > limit:
                self.position = position - length
                raise self._too_short(length)
            seek(length, 1)
        self.position = position

    def _step(self, count: int) -> None:
        if count > self.left:
            raise self._too_short(count)
        self.position += count

    def _too_short(self, wanted: int) -> BadModelFile:
        if self._file_ends_first:
            return BadModelFile(
                f"The header wants {wanted} bytes at byte {self.position}, but the file ends at byte {self._limit}."
            )
        return BadModelFile(f"The header is larger than {MAX_HEADER_BYTES} bytes; no real model's is.")
