"""First light: the starter models are pulled, one is asked a real question, and its answer is shown with its speed.

What is left in `data/runtime/first-light.json` lets every later start skip all of it.
"""

from __future__ import annotations

import json
from pathlib import Path

from config.contracts.models import ModelPull
from config.settings import Settings
from scripts.cli.answer import print_answer
from scripts.cli.door import Door
from scripts.cli.picking import first_chat_model
from scripts.cli.pulling import pull
from scripts.terminal import Terminal

QUESTION = "What is the capital of France, and what is it famous for?"
_MAX_TOKENS = 96


def marker_of(settings: Settings) -> Path:
    """The file that says that first light was seen."""
    return settings.runtime_path / "first-light.json"


def seen_model(marker: Path) -> str | None:
    """The model that gave first light here; None before it did."""
    try:
        return str(json.loads(marker.read_text())["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def show(door: Door, marker: Path, terminal: Terminal) -> str:
    """Pull what is missing, ask, print the answer; the model that gave it."""
    _pull_starters(door, terminal)
    model = first_chat_model(door)
    terminal.headline("First light")
    terminal.say(f"  {terminal.dim(f'{model} is asked:')} {QUESTION}")
    question = [{"role": "user", "content": QUESTION}]
    speed = print_answer(door.chat(question, model=model, temperature=0, max_tokens=_MAX_TOKENS), terminal, indent="  ")
    terminal.say(f"  {terminal.dim(str(speed))}")
    marker.write_text(json.dumps({"model": model, "tokens_per_sec": speed.tokens_per_sec}) + "\n")
    return model


def _pull_starters(door: Door, terminal: Terminal) -> None:
    missing = [item for item in door.catalogue().items if item.starter and not item.installed]
    if not missing:
        return
    terminal.headline("Models")
    for item in missing:
        pull(door, ModelPull(name=item.name), terminal)
