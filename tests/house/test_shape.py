"""The shape of the house: which files a room may have, how they are called, how large they get."""

from __future__ import annotations

import ast

import pytest

from tests.support.tree import ROOMS, ROOT, Module, files, modules, production

ROLES = {"__init__", "app", "routes", "flows", "store", "clients", "adapters"}
# Parts of a room that run in a process of their own, and so may hold what a room's process may not.
OWN_PROCESSES = {"switch/worker", "madre/engine_gate", "spawner/nursery"}
# Modules named for a noun that wait for something although nouns only decide.
WAITING_NOUNS = {
    "madre/drivers.py": "the interface of drivers: its methods are coroutines, it has no code",
    "madre/runner.py": "the interface of whatever runs plans: its methods are coroutines, it has no code",
    "spawner/cage.py": "the interface of cages: its methods are coroutines; what has code only words and checks",
    "switch/local.py": "the shell of admission.py and turns.py: waits with each request for its turn",
    "switch/pool.py": "the actor that owns the workers; what it decides is in lifecycle.py",
    "tentaculo_link/feed.py": "turns the journal's subscription into frames",
    "tentaculo_link/waking.py": "many requests share one call to madre; what it decides is in leases.py",
}
FRAMEWORKS = ("fastapi", "starlette", "uvicorn", "httpx", "aiohttp", "sqlalchemy", "alembic")
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "legacy", "old", "new", "temp"}
LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 400, 500, 60
WRITTEN_BY_ALEMBIC = "scripts/migrations/versions/"  # never edited: as long as the tables are many


def role(module: Module) -> str:
    """What part of its room a module is; a domain noun's role is `noun`."""
    if "/".join(module.parts[:2]) in OWN_PROCESSES:
        return "own process"
    return module.parts[1] if module.parts[1] in ROLES else "noun"


def of_role(*wanted: str) -> list[Module]:
    return [module for module in modules(*ROOMS) if role(module) in wanted]


def named(found: list[str]) -> str:
    return "\n".join(sorted(found))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_its_composition_and_says_what_it_is_for(room: str) -> None:
    folder = ROOT / room
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert len(docstring.splitlines()) >= 3, f"{room}/__init__.py says what the room is for, owns and calls"
    assert len(ast.parse((folder / "__init__.py").read_text()).body) == 1, "a room's __init__ holds no code"
    assert (folder / "routes.py").exists() or (folder / "routes").is_dir()


@pytest.mark.parametrize("room", ROOMS)
def test_what_may_be_one_file_or_one_folder_is_not_both(room: str) -> None:
    both = [name for name in ROLES if (ROOT / room / f"{name}.py").exists() and (ROOT / room / name).is_dir()]
    assert both == []


def test_routes_hold_http_only() -> None:
    for module in of_role("routes"):
        assert not module.imports_from("sqlalchemy", "config.clients", "config.db", "asyncio"), module.name
        assert not any(isinstance(node, ast.Try) for node in module.nodes), module.name


def test_flows_know_no_web_framework() -> None:
    for module in of_role("flows"):
        assert not module.imports_from("fastapi", "starlette", "uvicorn"), module.name


def test_sql_stands_in_the_store() -> None:
    """Elsewhere a session is handed on, and nothing else of SQLAlchemy is known."""
    for module in of_role("flows", "noun", "routes", "app", "clients"):
        assert module.imports_from("sqlalchemy") <= {"sqlalchemy.orm.Session"}, module.name


def test_nouns_are_pure() -> None:
    for module in of_role("noun"):
        assert not module.imports_from(*FRAMEWORKS), module.name
        if module.name not in WAITING_NOUNS:
            assert not module.imports_from("asyncio"), module.name
            assert not [node for node in module.nodes if isinstance(node, ast.AsyncFunctionDef)], module.name


def test_every_exception_to_a_rule_is_still_needed() -> None:
    names = {module.name for module in modules()}
    assert set(WAITING_NOUNS) <= names
    for name in WAITING_NOUNS:
        (module,) = (module for module in modules() if module.name == name)
        assert any(isinstance(node, ast.AsyncFunctionDef) for node in module.nodes), name
    for folder in OWN_PROCESSES:
        assert (ROOT / folder / "__main__.py").exists()


def test_no_drawer_of_everything_and_no_second_version() -> None:
    found = [
        name
        for path in files()
        if (name := path.relative_to(ROOT).as_posix())
        and (DRAWERS & set(name.rsplit(".", 1)[0].split("/")) or "_v2" in path.stem or path.stem.endswith("_old"))
    ]
    assert found == [], named(found)


def test_files_stay_readable() -> None:
    long = [
        f"{module.name}: {lines}"
        for module in modules()
        if (lines := module.text.count("\n")) > (LONGEST_TEST_FILE if module.parts[0] == "tests" else LONGEST_FILE)
    ]
    assert long == []


def long_functions() -> list[tuple[Module, str]]:
    return [
        (module, f"{module.name}: {function.name} {length}")
        for module in modules()
        for function in module.functions
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]


def test_functions_stay_short() -> None:
    assert [said for module, said in long_functions() if not module.name.startswith(WRITTEN_BY_ALEMBIC)] == []


def test_most_functions_are_very_short() -> None:
    lengths = sorted(
        (function.end_lineno or 0) - function.lineno + 1 for module in production() for function in module.functions
    )
    assert lengths[len(lengths) // 2] <= 11


def test_no_code_is_commented_out() -> None:
    """ruff's ERA sees Python; this sees blocks switched off by a constant."""
    off = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.If) and isinstance(node.test, ast.Constant)
    ]
    assert off == []
