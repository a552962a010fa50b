"""Habits that a linter cannot see: borders, units of work, seams instead of patches, secrets of this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.services import FLEET
from tests.support.tree import ROOT, Module, files, modules, production

BROAD = {"Exception", "BaseException"}


def handlers(module: Module) -> Iterator[ast.ExceptHandler]:
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in caught):
                yield node


def is_border(module: Module, handler: ast.ExceptHandler) -> bool:
    """Whether it says why it catches everything, or only tidies up and lets the error go on."""
    last = handler.body[-1]
    passes_on = isinstance(last, ast.Raise) and last.exc is None
    return passes_on or re.search(r"# border: \w+", module.line(handler.lineno)) is not None


def test_whoever_catches_everything_says_why() -> None:
    found = [
        f"{module.name}:{handler.lineno}"
        for module in modules()
        for handler in handlers(module)
        if not is_border(module, handler)
    ]
    assert found == []


def test_broad_excepts_stay_rare() -> None:
    """The true mark of trust (research/houses.md): the best keep to 0.2 to 2.7 in a thousand lines."""
    lines = sum(module.text.count("\n") for module in production())
    count = sum(1 for module in production() for _ in handlers(module))
    assert 1000 * count / lines < 2


def units_of_work(module: Module) -> Iterator[ast.With | ast.AsyncWith]:
    """Blocks of `with ….write()` and `with ….read()`."""
    for node in module.nodes:
        if isinstance(node, ast.With | ast.AsyncWith) and opens_unit_of_work(node):
            yield node


def opens_unit_of_work(node: ast.AST) -> bool:
    if not isinstance(node, ast.With | ast.AsyncWith):
        return False
    calls = (item.context_expr for item in node.items)
    names = {call.func.attr for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)}
    return bool(names & {"write", "read"})


def own_nodes(block: ast.AST) -> Iterator[ast.AST]:
    """What stands in a block itself, not in functions defined there."""
    for child in ast.iter_child_nodes(block):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from own_nodes(child)


def test_nothing_is_awaited_inside_a_unit_of_work() -> None:
    """A write held open over a call to a peer would stop every other writer of the fleet."""
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for unit in units_of_work(module)
        for statement in unit.body
        for node in [statement, *own_nodes(statement)]
        if isinstance(node, waits)
    ]
    assert found == []


def test_a_coroutine_leaves_the_event_loop_for_the_database() -> None:
    """`await db.writing(…)` runs in a thread; `with db.write()` in a coroutine would stop the whole service."""
    found = [
        f"{module.name}: {function.name}"
        for module in production()
        for function in module.functions
        if isinstance(function, ast.AsyncFunctionDef)
        if any(opens_unit_of_work(node) for node in own_nodes(function))
    ]
    assert found == []


def test_only_the_database_commits() -> None:
    found = [
        f"{module.name}:{node.lineno}"
        for module in production()
        for node in module.nodes
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback"}
    ]
    assert found == []


ONE_PLACE = {
    "sqlite3": {"config/sqlite.py"},
    "pysqlite3": {"config/sqlite.py"},
    "psycopg": {"config/postgres.py"},
    "jwt": {"config/auth.py"},
    "prometheus_client": {"config/metrics.py"},
    "pydantic_settings": {f"config/settings/{name}.py" for name in ("__init__", "group", "retention", "rooms")},
    "httpx": {"config/clients.py", "config/app.py", "hermes/adapters/web.py"},
    "llama_cpp": {"switch/worker/binding.py"},
    "sandlock": {"spawner/nursery/sandlocked.py"},
    "dbos": {"madre/adapters/durable.py"},
}


@pytest.mark.parametrize("library", ONE_PLACE)
def test_a_library_is_known_in_one_place(library: str) -> None:
    """`sqlite3` above all: two copies of SQLite in one process do not see each other's locks."""
    assert {module.name for module in production() if module.imports_from(library)} <= ONE_PLACE[library]


def test_only_settings_read_the_environment() -> None:
    readers = {"environ", "getenv", "environb"}
    found = {
        module.name
        for module in modules("config", "scripts", *[service.module for service in FLEET.values()])
        for node in module.nodes
        if isinstance(node, ast.Attribute) and node.attr in readers
    }
    # `scripts/surroundings.py` runs before anything is installed that could read settings.
    assert found <= {"config/settings/__init__.py", "scripts/surroundings.py"}


def test_dependencies_of_routes_are_coroutines() -> None:
    """FastAPI runs any other function in a thread, a switch there and back for each request."""
    found = [
        f"{module.name}: {named}"
        for module in production()
        for named in _depended_on(module)
        if any(isinstance(function, ast.FunctionDef) and function.name == named for function in module.functions)
    ]
    assert found == []


def _depended_on(module: Module) -> set[str]:
    """The functions that a module names in `Depends(…)`."""
    calls = [node for node in module.nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "Depends"]
    return {call.args[0].id for call in calls if isinstance(call.args[0], ast.Name)}


def test_tests_use_seams_not_patches() -> None:
    patchers = {"monkeypatch", "mocker", "patch", "MagicMock", "AsyncMock"}
    found = [
        f"{module.name}: {name}"
        for module in modules("tests")
        for node in module.nodes
        if (name := getattr(node, "arg", None) or getattr(node, "id", None) or getattr(node, "attr", None)) in patchers
        and not (isinstance(node, ast.Attribute) and name == "patch" and "client" in ast.unparse(node.value))
    ]
    assert found == []
    assert [module.name for module in modules("tests") if module.imports_from("unittest.mock")] == []


def test_no_test_can_only_pass() -> None:
    """Every test asserts, expects an error, waits for something, or calls a function of its own file that does."""
    found = []
    for module in modules("tests"):
        checkers = {function.name for function in module.functions if _checks(function, set())}
        found += [
            f"{module.name}: {function.name}"
            for function in module.functions
            if function.name.startswith("test_") and not _checks(function, checkers - {function.name})
        ]
    assert found == []


def _checks(function: ast.AST, checkers: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Raise) and "AssertionError" in ast.unparse(node)):
            return True
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name in checkers or name in {"raises", "eventually", "wait_for", "timeout", "fail"}:
            return True
    return False


# `§` stands for what must not be written here either, because this file is looked at too.
REGISTRIES = [name.replace("§", ".") for name in ("pypi§org", "pythonhosted§org", "npmjs§org", "npmjs§com")]
MACHINE = [name.replace("§", "/") for name in ("§work§", "§root§", "§tmp§v§", "§opt§pypi")]


def texts() -> Iterator[tuple[Path, str]]:
    for path in files():
        try:
            yield path.relative_to(ROOT), path.read_text()
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("host", REGISTRIES)
def test_no_registry_is_named(host: str) -> None:
    assert [str(name) for name, text in texts() if host in text] == []


@pytest.mark.parametrize("place", [*MACHINE, str(ROOT), f"{Path.home()}/"])
def test_no_path_of_a_machine_is_kept(place: str) -> None:
    if place.count("/") < 2:
        return  # a checkout in `/vx11` would forbid the very paths of the API
    assert [str(name) for name, text in texts() if place in text] == []


def test_no_secret_is_kept() -> None:
    secret = re.compile(r"vx11_[A-Za-z0-9_-]{43}\b|-----BEGIN [A-Z ]*PRIVATE KEY")
    assert [str(name) for name, text in texts() if secret.search(text)] == []


def test_import_mcp_is_never_ours() -> None:
    """The Model Context Protocol's SDK is called `mcp`, and so is the folder of our room."""
    look = "import importlib.util as u; s = u.find_spec('mcp'); print(s.origin if s and s.origin else 'nobody')"
    found = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == "nobody" or not Path(found).is_relative_to(ROOT) or ".venv" in found
    assert not (ROOT / "mcp" / "__init__.py").exists()
