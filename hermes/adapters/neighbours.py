"""Models that other tools keep below the user's home: seen, never moved or changed.

Where they keep them: LM Studio `~/.lmstudio/models` (before: `~/.cache/lm-studio/models`); Ollama
`~/.ollama/models`, manifests beside blobs named by their SHA-256; the Hub's client `~/.cache/huggingface/hub`, links in
`snapshots/` to blobs; llama.cpp `~/.cache/llama.cpp`.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hermes.gguf import MAGIC

_TREES: Final = {
    "lm-studio": (".lmstudio/models", ".cache/lm-studio/models"),
    "huggingface": (".cache/huggingface/hub",),
    "llama.cpp": (".cache/llama.cpp",),
}
_OLLAMA: Final = ".ollama/models"
_OLLAMA_MODEL: Final = "application/vnd.ollama.image.model"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_MAX_DEPTH: Final = 8
_MAX_MANIFEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A model file of another tool; `path` is the real file, `sha256` what that tool says of it."""

    tool: str
    path: Path
    label: str
    size: int
    modified_ns: int
    sha256: str | None = None


class Neighbours:
    """Looks below `home`; nothing that leads out of it is followed."""

    def __init__(self, home: Path, *, most: int = 500) -> None:
        self._home = home
        self._most = most

    def look(self, seconds: float) -> tuple[list[Neighbour], bool]:
        """Model files of other tools, and whether that is all of them. Blocks, for about `seconds` at most."""
        give_up = time.monotonic() + seconds
        found: dict[Path, Neighbour] = {}
        for neighbour in self._all(give_up):
            found.setdefault(neighbour.path, neighbour)
            if len(found) >= self._most or time.monotonic() > give_up:
                return list(found.values()), False
        return list(found.values()), time.monotonic() <= give_up

    def _all(self, give_up: float) -> Iterator[Neighbour]:
        home = self._home.resolve()
        for tool, folders in _TREES.items():
            for folder in folders:
                yield from self._tree(tool, home, home / folder, give_up)
        yield from self._ollama(home, home / _OLLAMA, give_up)

    def _tree(self, tool: str, home: Path, root: Path, give_up: float) -> Iterator[Neighbour]:
        for folder, below, names in os.walk(root):
            if time.monotonic() > give_up:
                return
            depth = len(Path(folder).relative_to(root).parts)
            below[:] = sorted(below) if depth < _MAX_DEPTH else []
            for name in sorted(names):
                if name.lower().endswith(".gguf"):
                    neighbour = _seen(tool, home, Path(folder) / name, name)
                    if neighbour is not None:
                        yield neighbour

    def _ollama(self, home: Path, root: Path, give_up: float) -> Iterator[Neighbour]:
        for folder, below, names in os.walk(root / "manifests"):
            if time.monotonic() > give_up:
                return
            below.sort()
            for name in sorted(names):
                digest = _model_of(Path(folder) / name)
                if digest is not None:
                    label = f"{Path(folder).name}-{name}"
                    neighbour = _seen("ollama", home, root / "blobs" / f"sha256-{digest}", label, digest)
                    if neighbour is not None:
                        yield neighbour


def _seen(tool: str, home: Path, path: Path, label: str, sha256: str | None = None) -> Neighbour | None:
    """The real file behind a name, if it lies below home, is a file we may read, and begins as a model does."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(home):
            return None
        with open(real, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or file.read(len(MAGIC)) != MAGIC:
                return None
    except (OSError, RuntimeError):  # gone, not ours to read, or links in circles
        return None
    return Neighbour(tool, real, label, found.st_size, found.st_mtime_ns, sha256)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe called model.gguf would be waited for


def _model_of(manifest: Path) -> str | None:
    try:
        if manifest.stat().st_size > _MAX_MANIFEST or not manifest.is_file():
            return None
        content = json.loads(manifest.read_bytes())
        layers = content.get("layers", []) if isinstance(content, dict) else []
        for layer in layers if isinstance(layers, list) else []:
            if isinstance(layer, dict) and layer.get("mediaType") == _OLLAMA_MODEL:
                match = _DIGEST.fullmatch(str(layer.get("digest")))
                return match[1] if match else None
    except (OSError, ValueError, RecursionError):
        return None
    return None
