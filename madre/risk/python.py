"""Rails on Python programs: what the source says it will do, read as a syntax tree. Pure; nothing is run.

As with shell commands this is no sandbox. Python hides easily what it does, so what is built to hide is HIGH by itself.
A module that acts is known by whatever name it is imported under, and is HIGH where it is handed on: to a variable, a
function, `getattr`, because what is done with it there is not read.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence

from config.contracts.plans import Risk
from madre.risk.finding import Finding, words

_STARTS_OR_REACHES = {
    "builtins": "runs or reaches what cannot be read beforehand",
    "cffi": "calls machine code",
    "code": "runs what is typed",
    "ctypes": "calls machine code",
    "fcntl": "reaches into the system",
    "gc": "reaches every object",
    "imp": "loads what is not read here",
    "importlib": "loads what is not read here",
    "inspect": "reaches every object",
    "marshal": "runs what cannot be read",
    "mmap": "reaches into memory",
    "multiprocessing": "starts processes",
    "pickle": "runs what cannot be read",
    "pty": "starts processes",
    "resource": "changes its own limits",
    "runpy": "runs what is not read here",
    "shutil": "moves and deletes whole folders",
    "signal": "sends signals",
    "subprocess": "starts programs",
}
_NETWORK = words(
    "aiohttp asyncio ftplib http httpx imaplib poplib requests smtplib socket socketserver ssl telnetlib "
    "urllib urllib3 websockets xmlrpc"
)
_HIDING = frozenset({"eval", "exec", "compile", "__import__", "globals", "locals", "vars", "breakpoint", "setattr"})
_DESTROYING = words(
    "chmod chown chroot execl execle execlp execv execve execvp fork forkpty kill killpg link lchown mkfifo "
    "posix_spawn popen putenv remove removedirs rename renames rmdir rmtree setuid setgid spawnl spawnv "
    "startfile symlink system truncate unlink"
)
_ONLY_OF_A_MODULE = frozenset({"remove", "link", "rename", "system", "kill"})  # lists remove, and machines have systems
_MODULES_THAT_ACT = frozenset({"os", "posix", "nt", "shutil", "pathlib"})
_ANY_MODULE = "`sys.modules` reaches every module, by whatever name"
_WRITING_METHODS = frozenset({"write_text", "write_bytes", "mkdir", "makedirs", "touch"})
_WRITING_MODES = frozenset("wax+")


class _Names:
    """What the names of a program stand for, as far as they begin with something imported."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        given = [name for node in nodes for name in _imported(node)]
        # A name that is given twice is the worse of the two: which it is at a moment is decided when the program runs.
        self._imported = dict(sorted(given, key=lambda name: (_acts(name[1]), name[1] == "sys")))
        self._found: dict[int, str] = {}
        for node in reversed(nodes):  # what is looked into stands behind whoever looks, however deep a chain is
            if found := self._meaning(node):
                self._found[id(node)] = found

    def full(self, node: ast.AST) -> str | None:
        """What a name or a chain of attributes stands for, with the last thing that it is taken from."""
        return self._found.get(id(node))

    def _meaning(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return self._imported.get(node.id)
        if isinstance(node, ast.Attribute) and (base := self.full(node.value)):
            return f"{base.rpartition('.')[2]}.{node.attr}"
        return None


def look_at_python(text: str) -> Iterator[Finding]:
    """What speaks against running `text` unasked."""
    try:
        with warnings.catch_warnings(action="ignore"):  # an escape that is no escape is the program's own business
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as unreadable:
        yield Finding(Risk.HIGH, f"the program cannot be read: {type(unreadable).__name__}")
        return
    nodes = list(ast.walk(tree))
    names = _Names(nodes)
    looked_into = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        yield from _look_at_node(node, names)
        if id(node) not in looked_into and _acts(names.full(node)):
            yield Finding(Risk.HIGH, f"`{names.full(node)}` is handed on, and what is done with it is not read here")


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that an import gives to things."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module or ''}.{alias.name}"


def _acts(name: str | None) -> bool:
    """Whether this is a module that acts, also where another one holds it: `random._os`."""
    return name is not None and name.rpartition(".")[2].lstrip("_") in _MODULES_THAT_ACT


def _look_at_node(node: ast.AST, names: _Names) -> Iterator[Finding]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module(alias.name)
    elif isinstance(node, ast.ImportFrom):
        yield from _module(node.module or "")
        yield from _names_from(node)
    elif isinstance(node, ast.Call):
        yield from _call(node, names)
    elif isinstance(node, ast.Attribute):
        yield from _attribute(node, names)
    elif isinstance(node, ast.Name) and node.id in _HIDING | {"__builtins__"}:
        yield Finding(Risk.HIGH, f"`{node.id}` runs or reaches what cannot be read beforehand")


def _module(name: str) -> Iterator[Finding]:
    top = name.partition(".")[0]
    if top in _STARTS_OR_REACHES:
        yield Finding(Risk.HIGH, f"`{top}` {_STARTS_OR_REACHES[top]}")
    elif top in _NETWORK:
        yield Finding(Risk.MED, f"`{top}` reaches out to other machines")


def _names_from(node: ast.ImportFrom) -> Iterator[Finding]:
    if node.module == "sys" and any(alias.name in ("modules", "*") for alias in node.names):
        yield Finding(Risk.HIGH, _ANY_MODULE)
    if node.module in _MODULES_THAT_ACT:
        for alias in node.names:
            if alias.name in _DESTROYING or alias.name == "*":
                yield Finding(Risk.HIGH, f"`{node.module}.{alias.name}` deletes, starts or reaches into the system")


def _attribute(node: ast.Attribute, names: _Names) -> Iterator[Finding]:
    name = node.attr
    if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__", "__init__", "__file__"):
        yield Finding(Risk.HIGH, f"`{name}` reaches behind what the program says")
    elif name in _DESTROYING and (name not in _ONLY_OF_A_MODULE or _is_module(node.value, names)):
        yield Finding(Risk.HIGH, f"`{name}` deletes, starts or reaches into the system")
    elif name in _WRITING_METHODS:
        yield Finding(Risk.MED, f"`{name}` writes to the disk")
    elif names.full(node) == "sys.modules":
        yield Finding(Risk.HIGH, _ANY_MODULE)


def _is_module(node: ast.expr, names: _Names) -> bool:
    """Whether an expression is a module that acts, or any chain of attributes that ends in one."""
    last = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
    return _acts(names.full(node)) or _acts(last)


def _call(node: ast.Call, names: _Names) -> Iterator[Finding]:
    if isinstance(node.func, ast.Name) and node.func.id == "getattr" and not _says_which(node):
        yield Finding(Risk.HIGH, "which attribute `getattr` takes is decided when it runs")
    if (
        isinstance(node.func, ast.Name | ast.Attribute)
        and _called(node.func) == "open"
        and _opens_for_writing(node, names)
    ):
        yield Finding(Risk.MED, "a file is opened for writing")


def _called(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _says_which(node: ast.Call) -> bool:
    return len(node.args) > 1 and isinstance(node.args[1], ast.Constant)


def _opens_for_writing(node: ast.Call, names: _Names) -> bool:
    """Whether a mode is given that writes, or that is only known when it runs; of a method it is the first argument."""
    at = 1 if isinstance(node.func, ast.Name) or names.full(node.func) else 0
    modes = [word.value for word in node.keywords if word.arg == "mode"] + node.args[at : at + 1]
    return any(not isinstance(mode, ast.Constant) or bool(_WRITING_MODES & set(str(mode.value))) for mode in modes)
