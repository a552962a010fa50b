"""The fleet as containers beside plain Docker, and beside the same fleet as processes of the host.

A window from asking to all ready beside `docker compose up -d --wait`, and beside `up -d` and polling; its closing
beside `docker compose stop`; a chat through the containers beside the same on the host; what a fleet at rest takes.
All of it in one run, in turns, on the real images and projects of its own; medians of `--runs`. Needs a Docker engine.

    python -m scripts.bench_docker [--models FOLDER] [--runs N] [--tokens N]        prints JSON
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from config.services import present_services
from config.settings import inherited_environment
from scripts.cli.images import build_images, engine_answers
from scripts.composed import chatting, idle, windows
from scripts.composed.project import running_project
from scripts.measuring import REPOSITORY, model_files


def measure(model: Path, runs: int, tokens: int) -> dict[str, Any]:
    """Everything, on one project."""
    present = [service.name for service in present_services()]
    with running_project(present) as project:
        project.shelve(model)
        print("chat …", file=sys.stderr)
        chat = chatting.measure(project, model, runs, tokens)
        print("idle …", file=sys.stderr)
        rest = idle.measure(project, runs)
        print("windows …", file=sys.stderr)
        return {"runs": runs, "windows": windows.measure(project, runs), "chat": chat, "idle": rest}


def main() -> None:
    """Have the images as the tree is, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=96, help="of each answer whose speed is measured")
    wanted = parser.parse_args()
    [model, *_] = model_files(wanted.models)
    if not engine_answers(inherited_environment()):
        raise SystemExit("There is no Docker engine here to measure with.")
    build_images(REPOSITORY, inherited_environment(), output=sys.stderr)
    print(json.dumps(measure(model, wanted.runs, wanted.tokens), indent=2))


if __name__ == "__main__":
    main()
