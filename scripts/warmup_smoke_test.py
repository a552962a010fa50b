"""Loads each enabled model and has it do one real inference, through the running fleet, and looks at what that left.

    python scripts/warmup_smoke_test.py [--url http://127.0.0.1:8000]

Ends with 0 when every model came into memory and answered in less than five seconds, the ledger never held more than
its budget although models had to make way for each other, and each model's `usage_count` and `last_used_at` moved.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, not as a module

from config.contracts.models import LocalModel
from config.contracts.serving import ServedModels, WarmedModel, WarmupStatus
from config.settings import Settings
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.program import run_program
from scripts.terminal import Terminal

T = TypeVar("T")

LONGEST_INFERENCE_SEC = 5.0
_WARM_WITHIN_SEC = 900.0
_COUNTED_WITHIN_SEC = 60.0  # hermes counts what Switch was used for every half a minute
_LOOK_EVERY_SEC = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the script takes."""
    parser.add_argument("--url", help="the gateway (default: this machine's fleet)")


def run(options: argparse.Namespace, settings: Settings, terminal: Terminal) -> int:
    """Warm up and look; the exit status."""
    with open_door(settings, options.url) as door:
        check(door, terminal)
    return 0


def check(door: Door, terminal: Terminal) -> None:
    """Warm every enabled model up; CommandFailed for the first thing that is not as it should be."""
    before = {model.name: model.usage_count for model in door.models()}
    begun = door.warm_up()
    status = _until(door.warmup, lambda status: status.state == "done", _WARM_WITHIN_SEC, "The warm-up did not end")
    if not begun.models:
        raise CommandFailed("No model is enabled.", "Bring one here: ./vx11 models pull NAME")
    for model in status.models:
        terminal.say(_in_words(model))
    terminal.say(_rotation(door.served(), status))
    _check_speed(status)
    names = {model.name for model in status.models}
    _until(
        door.models,
        lambda models: all(_was_counted(model, before) for model in models if model.name in names),
        _COUNTED_WITHIN_SEC,
        "Hermes did not count the uses",
    )
    terminal.say(f"{len(names)} models are warm, and their uses are counted.")


def _check_speed(status: WarmupStatus) -> None:
    for model in status.models:
        if model.state != "ok":
            raise CommandFailed(f"{model.name} did not warm up.", model.detail or "")
        if (model.inference_sec or 0.0) >= LONGEST_INFERENCE_SEC:
            raise CommandFailed(
                f"{model.name} took {model.inference_sec} s, not less than {LONGEST_INFERENCE_SEC:g}.", ""
            )


def _rotation(served: ServedModels, status: WarmupStatus) -> str:
    """What is in memory now; the least recently used have made way where not all fit."""
    if served.reserved_mb > served.budget_mb:
        raise CommandFailed(f"{served.reserved_mb} MiB are reserved; the budget is {served.budget_mb} MiB.", "")
    ready = [model.name for model in served.models if model.stage == "ready"]
    warmed = [model.name for model in status.models if model.state == "ok"]
    if warmed and warmed[-1] not in ready:
        raise CommandFailed(f"{warmed[-1]} was warmed up last and is not in memory.", "")
    return f"in memory: {', '.join(ready)}; {served.reserved_mb} of {served.budget_mb} MiB"


def _was_counted(model: LocalModel, before: dict[str, int]) -> bool:
    return model.last_used_at is not None and model.usage_count > before.get(model.name, 0)


def _in_words(model: WarmedModel) -> str:
    if model.state != "ok":
        return f"{model.name}: {model.state}. {model.detail}"
    return f"{model.name}: loaded in {model.load_sec:.2f} s, answered in {model.inference_sec:.2f} s"


def _until(look: Callable[[], T], holds: Callable[[T], bool], within_sec: float, else_said: str) -> T:
    """What `look` shows once `holds` is true of it."""
    give_up = time.monotonic() + within_sec
    while not holds(seen := look()):
        if time.monotonic() > give_up:
            raise CommandFailed(f"{else_said} within {within_sec:g} s.", "")
        time.sleep(_LOOK_EVERY_SEC)
    return seen


if __name__ == "__main__":
    sys.exit(run_program(__doc__, arguments, run))
