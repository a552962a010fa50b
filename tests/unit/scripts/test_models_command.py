"""What `./vx11 models` asks of hermes, and how it words what it gets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from scripts.cli import models

HOME = Path("/home/ana")


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    models.arguments(parser)
    return parser.parse_args(words)


def test_a_word_is_a_name_of_the_catalogue() -> None:
    order = models.order_of(parsed("pull", "gemma-3-270m"), HOME)
    assert (order.name, order.source) == ("gemma-3-270m", None)


@pytest.mark.parametrize("source", ["hf:me/model", "https://h/x.gguf", "pypi:llm==1#x.gguf"])
def test_a_source_is_passed_on_as_it_is(source: str) -> None:
    order = models.order_of(parsed("pull", source, "--name", "mine"), HOME)
    assert (order.name, order.source) == ("mine", source)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("file:x.gguf", "file:/home/ana/x.gguf"),
        ("file:../x.gguf", "file:/home/x.gguf"),
        ("file:///m/x.gguf", "file:/m/x.gguf"),
    ],
)
def test_a_file_is_looked_for_where_the_command_was_typed(typed: str, meant: str) -> None:
    assert models.order_of(parsed("pull", typed), HOME).source == meant
