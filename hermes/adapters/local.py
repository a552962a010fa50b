"""`file:` sources: a model that is on this machine already, linked where the disk allows it, else copied."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from config.errors import Forbidden, Invalid, NotFound
from hermes.adapters.receiver import READ_BYTES, Receiver, sha256_of_file
from hermes.adapters.shelf import Shelf, Tray
from hermes.adapters.work import JobWork
from hermes.orders import Expectation
from hermes.sources import FileSource

# Other disk, other owner, too many links, no links at all: then a copy does it.
_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES})


class LocalFetcher:
    """Takes files of this machine; the original stays where it is."""

    def __init__(self, shelf: Shelf, *, allowed: bool) -> None:
        self._shelf = shelf
        self._allowed = allowed

    async def fetch(self, source: FileSource, tray: Tray, expected: Expectation, work: JobWork) -> str:
        """Link or copy the file into the tray; its SHA-256."""
        if not self._allowed:
            raise Forbidden(
                "file: sources are switched off here.", hint="VX11_HERMES_ALLOW_FILE_SOURCES=1 allows them."
            )
        return await work.in_thread(self._fetch, source.path, tray, work)

    def _fetch(self, path: str, tray: Tray, work: JobWork) -> str:
        original = Path(path).resolve()
        size = _size_of(original)
        tray.partial.unlink(missing_ok=True)
        if _link(original, tray.partial):
            work.verifying(size)
            return sha256_of_file(tray.partial, work.at)
        self._shelf.ensure_room(size)
        work.downloading(size)
        return _copy(original, tray.partial, work)


def _size_of(path: Path) -> int:
    """The size of a file that is there and can be read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Invalid("The path names no file.", errors=[{"field": "source", "message": "not a regular file"}])
        with open(path, "rb"):
            return found.st_size
    except FileNotFoundError:
        raise NotFound("There is no such file on this machine.", hint="Check the path after file:.") from None
    except OSError as error:
        raise Forbidden(f"The file cannot be read: {error.strerror}.") from error


def _link(original: Path, target: Path) -> bool:
    try:
        os.link(original, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _copy(original: Path, target: Path, work: JobWork) -> str:
    with open(original, "rb", buffering=0) as file, Receiver(target) as receiver:
        while block := file.read(READ_BYTES):
            receiver.write(block)
            work.at(receiver.size)
        return receiver.finish()
