"""Saved states of sequences on disk: they survive the worker, so that a model that comes back need not read again.

A folder for each kind of state (`StateKey`: same weights, same parameters, same library), a file for each sequence:

    magic (8) · key (32) · digest (32) · number of tokens (u32) · bytes of state (u64) · tokens (i32 each) · state

little-endian; the digest is BLAKE2b-256 over key, tokens and state. A file is written beside its place, put on disk
and renamed, and verified whole before it is used: one that is torn, damaged or of another kind is removed, never
trusted. Prompts can be read out of these files, so the folders are 0700 and the files 0600. The limit holds for all
models together; whoever writes removes what was used longest ago, anybody's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from switch.worker.radix import RadixTree

_MAGIC = b"VX11KV1\n"
_HEADER = struct.Struct("<8s32s32sIQ")
_SPARE_BYTES = 256 << 20  # of the disk, which a cache never takes
_SUFFIX, _UNFINISHED = ".state", ".part"
_log = logging.getLogger(__name__)


class StateFiles:
    """The states of one kind in `root`, whose files together take at most `budget` bytes; `used` when last counted."""

    def __init__(self, root: Path, key: bytes, budget: int) -> None:
        """Raises OSError when the folder cannot be used."""
        self.budget = budget
        self.used = 0
        self._root = root
        self._key = key
        self._folder = root / key.hex()[:32]
        self._tree: RadixTree[str] = RadixTree()
        self._held: dict[str, int] = {}
        for folder in (root, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        self._look()
        self.trim()

    def __contains__(self, tokens: list[int]) -> bool:
        """Whether some file holds `tokens` from the beginning on, all of them."""
        return next((length for length, _ in self._tree.matches(tokens)), 0) == len(tokens)

    def matches(self, tokens: list[int]) -> Iterator[tuple[int, str]]:
        """The names of files that begin like `tokens`, with how far, longest first."""
        return self._tree.matches(tokens)

    def held(self, name: str) -> int:
        """How many tokens the state in the file holds."""
        return self._held[name]

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[tuple[list[int], memoryview] | None]:
        """The tokens and the state of a file, verified; None, and the file goes, when it is not what it should be."""
        path = self._folder / name
        with contextlib.ExitStack() as stack:
            try:
                data = stack.enter_context(_mapped(path))
                view = stack.enter_context(memoryview(data))
                tokens, state_at = self._verified(view)
            except (OSError, ValueError) as error:
                _log.warning("a saved state is of no use and goes", extra={"reason": str(error)})
                self._remove(name)
                yield None
                return
            with contextlib.suppress(OSError):
                os.utime(path)  # used just now
            with view[state_at:] as state:
                yield tokens, state

    def draft(self, tokens: list[int], size: int) -> Draft:
        """Room for a new file; raises OSError where there is none."""
        whole = _HEADER.size + 4 * len(tokens) + size
        disk = os.statvfs(self._folder)
        if whole > self.budget or disk.f_bavail * disk.f_frsize < whole + _SPARE_BYTES:
            raise OSError(errno.ENOSPC, "no room for a saved state")
        return Draft(self._folder, self._key, tokens, size)

    def arrived(self, draft: Draft) -> None:
        """A draft has become a file: it can be found from now on, and files of its beginnings go."""
        for name in self._tree.covered(draft.tokens):
            if name != draft.name:
                self._remove(name)
        self._add(draft.tokens, draft.name)

    def trim(self) -> None:
        """Remove the files used longest ago until the rest is within the budget. Callable from any thread."""
        files = sorted(self._all())
        used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if used <= self.budget:
                break
            path.unlink(missing_ok=True)
            used -= size
        self.used = used

    def _add(self, tokens: list[int], name: str) -> None:
        self._tree.insert(tokens, name)
        self._held[name] = len(tokens)

    def _remove(self, name: str) -> None:
        self._tree.remove(name)
        self._held.pop(name, None)
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()

    def _all(self) -> list[tuple[int, int, Path]]:
        """Last use, size and path of the files of all models; those that go meanwhile are left out."""
        found = []
        for path in self._root.glob(f"*/*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                seen = path.lstat()
                found.append((seen.st_mtime_ns, seen.st_size, path))
        return found

    def _look(self) -> None:
        """Learn what earlier workers left; remove what they left unfinished and what is none of theirs."""
        for path in list(self._folder.iterdir()):
            try:
                tokens = self._tokens(path)
            except (OSError, ValueError) as error:
                _log.warning("a file among the saved states goes", extra={"file": path.name, "reason": str(error)})
                with contextlib.suppress(OSError):
                    path.unlink()
            else:
                self._add(tokens, path.name)

    def _tokens(self, path: Path) -> list[int]:
        """The tokens that a file says it is for; ValueError when it cannot be one of ours."""
        if path.suffix != _SUFFIX:
            raise ValueError("unfinished or foreign")
        with _mapped(path) as data, memoryview(data) as view:
            return self._parsed(view)[0]

    def _parsed(self, view: memoryview) -> tuple[list[int], int, bytes]:
        """Tokens, where the state begins, and the digest by the header; ValueError when it does not add up."""
        if len(view) < _HEADER.size:
            raise ValueError("too short")
        magic, key, digest, count, size = _HEADER.unpack_from(view)
        state_at = _HEADER.size + 4 * count
        if (magic, key) != (_MAGIC, self._key) or state_at + size != len(view):
            raise ValueError("of another kind, or torn")
        return _unpacked(bytes(view[_HEADER.size : state_at])), state_at, digest

    def _verified(self, view: memoryview) -> tuple[list[int], int]:
        tokens, state_at, digest = self._parsed(view)
        if _digest(self._key, view[_HEADER.size :]) != digest:
            raise ValueError("damaged")
        return tokens, state_at


class Draft:
    """A file on its way: fill `state`, then `finish` (in any thread) or `discard`."""

    def __init__(self, folder: Path, key: bytes, tokens: list[int], size: int) -> None:
        """Raises OSError; the room is allotted here, since running out of it while writing a mapping is a signal."""
        packed = _packed(tokens)
        self.tokens = tokens
        self.name = hashlib.blake2b(packed, digest_size=16).hexdigest() + _SUFFIX
        self._path = folder / self.name
        self._part = folder / f"{self.name}.{os.getpid()}{_UNFINISHED}"
        self._key = key
        self._head = (len(tokens), size)
        self._file = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(self._file, 0, _HEADER.size + len(packed) + size)
            self._data = mmap.mmap(self._file, 0)
        except OSError:
            os.close(self._file)
            self._part.unlink(missing_ok=True)
            raise
        self._data[_HEADER.size : _HEADER.size + len(packed)] = packed
        self._whole = memoryview(self._data)
        self.state = self._whole[_HEADER.size + len(packed) :]

    def finish(self, *, durable: bool) -> None:
        """Make it a file. Raises OSError.

        Not `durable` when there is no time: a power cut may then leave a torn file, which the digest tells.
        """
        try:
            with self._whole[_HEADER.size :] as body:
                digest = _digest(self._key, body)
            count, size = self._head
            self._whole[: _HEADER.size] = _HEADER.pack(_MAGIC, self._key, digest, count, size)
            if durable:
                self._data.flush()
                os.fsync(self._file)
            self._part.rename(self._path)
        finally:
            self._close()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._close()

    def _close(self) -> None:
        self.state.release()
        self._whole.release()
        self._data.close()
        os.close(self._file)
        self._part.unlink(missing_ok=True)


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """The file in memory, as a private copy: ctypes passes writable memory only. Raises OSError, ValueError."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        data = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(file)
    with data:
        yield data


def _digest(key: bytes, body: memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=32, key=key).digest()


def _packed(tokens: list[int]) -> bytes:
    return struct.pack(f"<{len(tokens)}i", *tokens)


def _unpacked(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}i", data))
