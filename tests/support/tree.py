"""The source tree as the house tests look at it: files, parsed modules, functions, rooms."""

from __future__ import annotations

import ast
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from config.services import FLEET

ROOT = Path(__file__).parents[2]
ROOMS = tuple(service.module for service in FLEET.values() if (ROOT / service.module / "app.py").exists())


@dataclass(frozen=True)
class Module:
    """One Python file; `name` is its path from the root, with slashes."""

    name: str
    text: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and the file, without `.py`."""
        return tuple(self.name.removesuffix(".py").split("/"))

    def line(self, number: int) -> str:
        """A line of the text, counted from 1."""
        return self.text.splitlines()[number - 1]

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        """Every function and method, nested ones too."""
        return tuple(node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    @cached_property
    def imports(self) -> set[str]:
        """Every imported thing by its full dotted name, wherever the import stands."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        return found

    def imports_from(self, *packages: str) -> set[str]:
        """What it imports from these packages."""
        return {name for name in self.imports if any(f"{name}.".startswith(f"{package}.") for package in packages)}


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or may be committed: what git tracks or would not ignore; without git, what stands in
    the folders of the source."""
    paths = _known_to_git() if shutil.which("git") and (ROOT / ".git").exists() else _in_source_folders()
    return tuple(sorted(path for path in paths if path.is_file()))


def _known_to_git() -> set[Path]:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {ROOT / name for name in listed.split("\0") if name}


def _in_source_folders() -> set[Path]:
    folders = ("config", "scripts", "tests", "docs", *(service.module for service in FLEET.values()))
    found = {path for folder in folders for path in (ROOT / folder).rglob("*")}
    return {path for path in found | set(ROOT.glob("*")) if "__pycache__" not in path.parts}


@cache
def _parsed() -> tuple[Module, ...]:
    paths = [path for path in files() if path.suffix == ".py"]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}
    return tuple(Module(name, text, ast.parse(text)) for name, text in texts.items())


def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file under these folders (all folders, if none is named)."""
    starts = tuple(f"{folder}/" for folder in folders) or ("",)
    return tuple(module for module in _parsed() if module.name.startswith(starts))


def production() -> tuple[Module, ...]:
    """The foundation and the rooms."""
    return modules("config", *ROOMS)
