"""A full disk, said in the words of the error tree wherever bytes are written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from config.errors import DiskFull

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_weather() -> Iterator[None]:
    """Turn "no space", "over quota" and "file too large" into DiskFull; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFull(
            "The disk filled up while the model was being written; what had arrived was removed.",
            hint="Free some space, then pull the model again.",
        ) from error
