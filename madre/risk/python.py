"""Rails on Python programs: what the source says it will do, read as a syntax tree. Pure; nothing is run.

As with shell commands this is no sandbox. Python hides easily what it does, so what is built to hide is HIGH by itself.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from config.contracts.plans import Risk
from madre.risk.finding import Finding, words

_STARTS_OR_REACHES = {
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
_MODULES_THAT_ACT = frozenset({"os", "posix", "shutil", "pathlib"})
_WRITING_METHODS = frozenset({"write_text", "write_bytes", "mkdir", "makedirs", "touch"})
_WRITING_MODES = frozenset("wax+")


def look_at_python(text: str) -> Iterator[Finding]:
    """What speaks against running `text` unasked."""
    try:
        with warnings.catch_warnings(action="ignore"):  # an escape that is no escape is the program's own business
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as unreadable:
        yield Finding(Risk.HIGH, f"the program cannot be read: {type(unreadable).__name__}")
        return
    for node in ast.walk(tree):
        yield from _look_at_node(node)


def _look_at_node(node: ast.AST) -> Iterator[Finding]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _module(alias.name)
    elif isinstance(node, ast.ImportFrom):
        yield from _module(node.module or "")
        yield from _names_from(node)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.Attribute):
        yield from _attribute(node)
    elif isinstance(node, ast.Name) and node.id in _HIDING | {"__builtins__"}:
        yield Finding(Risk.HIGH, f"`{node.id}` runs or reaches what cannot be read beforehand")


def _module(name: str) -> Iterator[Finding]:
    top = name.partition(".")[0]
    if top in _STARTS_OR_REACHES:
        yield Finding(Risk.HIGH, f"`{top}` {_STARTS_OR_REACHES[top]}")
    elif top in _NETWORK:
        yield Finding(Risk.MED, f"`{top}` reaches out to other machines")


def _names_from(node: ast.ImportFrom) -> Iterator[Finding]:
    if node.module in _MODULES_THAT_ACT:
        for alias in node.names:
            if alias.name in _DESTROYING or alias.name == "*":
                yield Finding(Risk.HIGH, f"`{node.module}.{alias.name}` deletes, starts or reaches into the system")


def _attribute(node: ast.Attribute) -> Iterator[Finding]:
    name = node.attr
    if name.startswith("__") and name.endswith("__") and name not in ("__name__", "__doc__", "__init__", "__file__"):
        yield Finding(Risk.HIGH, f"`{name}` reaches behind what the program says")
    elif name in _DESTROYING and (name not in _ONLY_OF_A_MODULE or _is_module(node.value)):
        yield Finding(Risk.HIGH, f"`{name}` deletes, starts or reaches into the system")
    elif name in _WRITING_METHODS:
        yield Finding(Risk.MED, f"`{name}` writes to the disk")


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in _MODULES_THAT_ACT


def _call(node: ast.Call) -> Iterator[Finding]:
    if isinstance(node.func, ast.Name) and node.func.id == "getattr" and not _says_which(node):
        yield Finding(Risk.HIGH, "which attribute `getattr` takes is decided when it runs")
    if isinstance(node.func, ast.Name | ast.Attribute) and _called(node.func) == "open" and _opens_for_writing(node):
        yield Finding(Risk.MED, "a file is opened for writing")


def _called(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _says_which(node: ast.Call) -> bool:
    return len(node.args) > 1 and isinstance(node.args[1], ast.Constant)


def _opens_for_writing(node: ast.Call) -> bool:
    """Whether a mode is given that writes, or that is only known when it runs."""
    at = 1 if isinstance(node.func, ast.Name) else 0
    modes = [word.value for word in node.keywords if word.arg == "mode"] + node.args[at : at + 1]
    return any(not isinstance(mode, ast.Constant) or bool(_WRITING_MODES & set(str(mode.value))) for mode in modes)
