"""The models folder: model files, downloads in the making, and the quarantine.

    models/NAME.gguf                  registered models, and what people put there themselves
    models/.downloads/KEY/            one source: model.partial, origin.json, wheels/ (survives a restart)
    models/quarantine/NAME.gguf       files that were refused, each with NAME.gguf.reason.txt beside it

All names below the folder are made here or checked here: nothing from outside becomes a path as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from config.errors import BadModelFile, DiskFull, Invalid
from hermes.adapters.weather import disk_weather
from hermes.gguf import MAGIC, GgufHeader, read_header

MODEL_SUFFIX: Final = ".gguf"
_DOWNLOADS, _QUARANTINE = ".downloads", "quarantine"
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of the models folder; `path` relative to it."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the disk that holds the models."""

    total: int
    free: int


class Tray:
    """Where one source's bytes gather until they are a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / "model.partial"
        self.origin = folder / "origin.json"
        self.arrived = folder / "arrived.json"
        self.wheels = folder / "wheels"
        self.scratch = folder / "scratch"

    @property
    def bytes_here(self) -> int:
        """How much of the file has arrived."""
        return _size(self.partial)

    @property
    def has_bytes(self) -> bool:
        """Whether some of the file has arrived."""
        return self.bytes_here > 0

    def prepare(self) -> None:
        """Make the folder, without the scratch of a process that was killed."""
        with disk_weather():
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)

    def discard(self) -> None:
        """Remove everything of this source."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Shelf:
    """The models folder; every method blocks and belongs into a thread."""

    def __init__(self, root: Path, reserve_mb: int) -> None:
        self.root = root.absolute()
        self.reserve_bytes = reserve_mb * _MIB

    def prepare(self) -> None:
        """Make the folder if it is not there."""
        self.root.mkdir(parents=True, exist_ok=True)

    def path_of(self, relative: str) -> Path:
        """The place of a file named relative to the folder; Invalid for anything that leads out of it."""
        pure = PurePosixPath(relative)
        hidden = any(part.startswith(".") for part in pure.parts)
        if pure.is_absolute() or hidden or not pure.parts or "\x00" in relative or pure.parts[0] == _QUARANTINE:
            raise Invalid(
                "The path must name a file inside the models folder, relative to it.",
                hint="To bring in a file from elsewhere, pull it with the source file:/its/path.",
                errors=[{"field": "path", "message": "not a file of the models folder"}],
            )
        return self.root / pure

    def stat(self, relative: str) -> FoundFile | None:
        """The file as it is now, or None if there is none."""
        path = self.path_of(relative)
        try:
            found = path.stat()
        except OSError:
            return None
        return FoundFile(relative, found.st_size, found.st_mtime_ns) if path.is_file() else None

    def files(self) -> Iterator[FoundFile]:
        """Every visible file outside the quarantine, in order of path; folders that are links are not entered."""
        for folder, below, names in os.walk(self.root):
            at_root = folder == str(self.root)
            below[:] = sorted(n for n in below if not n.startswith(".") and not (at_root and n == _QUARANTINE))
            for name in sorted(names):
                relative = (Path(folder) / name).relative_to(self.root).as_posix()
                found = None if name.startswith(".") else self.stat(relative)
                if found is not None:
                    yield found

    def header(self, path: Path) -> GgufHeader:
        """The GGUF header of a file; BadModelFile if it is not a whole model."""
        try:
            with open(path, "rb") as file:
                return read_header(file, os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise BadModelFile(f"The file cannot be read: {error.strerror}.") from error

    def claims_to_be_a_model(self, found: FoundFile) -> bool:
        """Whether a file is GGUF by its name or by its first bytes."""
        if found.path.lower().endswith(MODEL_SUFFIX):
            return True
        try:
            with open(self.path_of(found.path), "rb") as file:
                return file.read(len(MAGIC)) == MAGIC
        except OSError:
            return False

    def is_being_written(self, relative: str) -> bool:
        """Whether somebody has the file open for writing: the kernel grants a read lease only if nobody has.

        False where leases are not offered (another owner's file, some network disks, other systems).
        """
        if sys.platform != "linux":
            return False
        try:
            with open(self.path_of(relative), "rb") as file:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def place(self, arrived: Path, name: str, sha256: str) -> str:
        """Move a verified file to its own place in one step; its path relative to the folder.

        A file of the same name that is something else is left alone: the newcomer's name then carries the
        beginning of its hash.
        """
        relative = f"{name}{MODEL_SUFFIX}"
        if self.path_of(relative).exists():
            relative = f"{name}-{sha256[:12]}{MODEL_SUFFIX}"
        os.replace(arrived, self.path_of(relative))
        _sync_folder(self.root)
        return relative

    def remove(self, relative: str) -> None:
        """Delete a model file; that it is gone already is fine."""
        self.path_of(relative).unlink(missing_ok=True)

    def quarantine(self, path: Path, name: str, reason: str) -> str:
        """Put a refused file aside, with the reason in a text beside it; its path relative to the folder."""
        folder = self.root / _QUARANTINE
        folder.mkdir(exist_ok=True)
        target = _free_name(folder, name)
        os.replace(path, target)
        target.with_name(f"{target.name}.reason.txt").write_text(reason + "\n", encoding="utf-8")
        return target.relative_to(self.root).as_posix()

    def space(self) -> Space:
        """How large the disk is and what is free for us."""
        usage = shutil.disk_usage(self.root)
        return Space(usage.total, usage.free)

    def ensure_room(self, wanted: int) -> None:
        """DiskFull, with the arithmetic, unless `wanted` more bytes leave the reserve free."""
        free = self.space().free
        if free - wanted >= self.reserve_bytes:
            return
        missing = wanted + self.reserve_bytes - free
        raise DiskFull(
            f"The model needs {wanted} bytes and {self.reserve_bytes} must stay free, but the disk has {free}: "
            f"{missing} bytes are missing.",
            hint="Free some space (DELETE /hermes/models/{name}), or lower VX11_HERMES_FREE_SPACE_MB.",
            extra={"needed_bytes": wanted, "reserve_bytes": self.reserve_bytes, "free_bytes": free},
        )

    def tray(self, source: str) -> Tray:
        """The tray of a source; the same one each time, so that a download goes on where it stopped."""
        return Tray(self.root / _DOWNLOADS / tray_key(source))

    def discard_trays(self, in_use: Set[str], older_than: float) -> int:
        """Remove the trays whose key is not in use and that nothing has touched since; how many."""
        folder = self.root / _DOWNLOADS
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        old = [path for path in found if path.name not in in_use and _touched(path) < older_than]
        for path in old:
            Tray(path).discard()
        return len(old)

    def partial_bytes(self) -> int:
        """What the downloads in the making take."""
        return sum(_size(path) for path in (self.root / _DOWNLOADS).rglob("*"))

    def quarantined(self) -> list[int]:
        """Sizes of the files in quarantine."""
        found = (self.root / _QUARANTINE).glob("*")
        return [_size(path) for path in found if not path.name.endswith(".reason.txt")]


def tray_key(source: str) -> str:
    """The name of a source's tray."""
    return hashlib.sha256(source.encode()).hexdigest()[:24]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0  # moved on since it was listed


def _touched(folder: Path) -> float:
    """When anything in a folder last changed, seconds since the epoch."""
    return max((path.stat().st_mtime for path in (folder, *folder.rglob("*"))), default=0.0)


def _free_name(folder: Path, name: str) -> Path:
    """`name` in `folder`, with a number where it is taken."""
    wanted = folder / name
    number = 1
    while wanted.exists():
        number += 1
        wanted = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return wanted


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: the folder itself must reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
