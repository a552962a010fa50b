"""The generated reference is what the code says, and what prose points at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from config.settings import Settings
from scripts.generate_reference import FOLDER, main, pages, stale
from tests.support.tree import ROOT, files, production

PROSE = [path for path in files() if path.suffix == ".md" and not path.is_relative_to(FOLDER)]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)\s#]+)")
# A path in backticks: it has a slash or a known ending, and no placeholder in it.
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|toml|md|lock|in))`")
# The rooms and folders prose may name although they come later, and what a running fleet makes.
TO_COME = ("data/", "models/", "mcp/", "build/", "docs/audit/")


def test_the_reference_is_fresh() -> None:
    assert stale() == [], "run python scripts/generate_reference.py"


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    for name, text in pages().items():
        (tmp_path / name).write_text(text)
    assert stale(tmp_path) == []
    (tmp_path / "errors.md").write_text("old")
    (tmp_path / "left_over.md").write_text("x")
    (tmp_path / "routes.md").unlink()
    assert stale(tmp_path) == ["errors.md", "left_over.md", "routes.md"]


def test_the_check_of_the_command_agrees() -> None:
    assert main(["--check"]) == 0


def test_every_setting_is_listed_once() -> None:
    listed = re.findall(r"^\| `(VX11_\w+)`", pages()["settings.md"], re.MULTILINE)
    values = [value for _, value in Settings()]
    groups: list[type[BaseSettings]] = [type(value) for value in values if isinstance(value, BaseSettings)]
    fields = len(values) - len(groups) + sum(len(group.model_fields) for group in groups)
    assert len(listed) == len(set(listed)) == fields


@pytest.mark.parametrize("page", PROSE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert broken == []


def test_the_map_of_the_code_names_only_what_is_there() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    missing = [name for name in NAMED.findall(text) if not name.startswith(TO_COME) and not _is_there(name)]
    assert missing == []


def _is_there(name: str) -> bool:
    """Whether `name` is a path of the tree, or the end of one."""
    if (ROOT / name).exists():
        return True
    return any(path.as_posix().endswith(f"/{name.rstrip('/')}") for file in files() for path in (file, file.parent))


def test_the_map_of_the_code_leaves_out_nothing() -> None:
    """Every file and folder that stands directly in the foundation or in a room."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    parts = {module.parts[:2] for module in production() if module.parts[1] != "__init__"}
    assert [f"{room}/{part}" for room, part in sorted(parts) if part not in text] == []
