"""Every command in the table is there, says what it takes, and is what the launcher sets up for."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from scripts.cli.bench import benches
from scripts.cli.commands import COMMANDS, Command
from scripts.setup.__main__ import LAYERS_OF, needed_layers
from scripts.surroundings import REPOSITORY


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_its_module_declares_its_arguments(command: Command) -> None:
    module = command.load()
    parser = ArgumentParser(prog=command.name)
    module.arguments(parser)
    assert parser.format_usage().startswith(f"usage: {command.name}")
    assert module.__doc__


def test_what_sets_up_is_a_command() -> None:
    assert LAYERS_OF.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("line", [[], ["status"], ["up", "--help"], ["help"], ["nonsense"]])
def test_looking_needs_no_set_up(line: list[str]) -> None:
    assert needed_layers(line) == ()


def test_tests_need_more_than_running() -> None:
    assert set(needed_layers(["up"])) < set(needed_layers(["test", "unit"]))


def test_a_bench_is_a_file_that_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "bench_gateway.py").write_text('if __name__ == "__main__":\n    pass\n')
    (tmp_path / "bench_shared.py").write_text("x = 1\n")
    (tmp_path / "other.py").write_text('if __name__ == "__main__":\n    pass\n')
    assert benches(tmp_path) == ["gateway"]
    assert benches(REPOSITORY / "scripts")
