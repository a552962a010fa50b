"""The containers' images for the tests that run them: built once, before anything waits for them.

What changed since the last time is built, out of the engine's cache where it can be; the first time llama.cpp is
compiled for several kinds of CPU, which takes minutes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from scripts.cli.context import Context
from scripts.cli.failure import CommandFailed

TARGETS = ("core", "madre", "switch")  # the Dockerfile's images, without the `vx11-` before them
WITHIN_SEC = 1800


def ensure(context: Context) -> None:
    """Have the images of the tree as it is, before tests with deadlines want them. What fails here is only said: the
    tests come to the same, and where there is no engine they say that."""
    if not engine_answers(context.world.variables):
        return
    try:
        build_images(context.world.repository, context.world.variables)
    except CommandFailed as failure:
        context.remarks.say(str(failure))


def engine_answers(variables: Mapping[str, str]) -> bool:
    """Whether `docker` is here and has an engine to talk to."""
    try:
        return subprocess.run(["docker", "version"], capture_output=True, env=variables, check=False).returncode == 0
    except FileNotFoundError:
        return False


def build_images(repository: Path, variables: Mapping[str, str], *, output: IO[str] | None = None) -> None:
    """`docker compose build` in `repository`; what it prints goes where ours goes, or to `output`. CommandFailed where
    it fails."""
    compose = ["docker", "compose", "--env-file", os.devnull, "-f", "docker-compose.yml", "--progress", "plain"]
    buildkit = {**variables, "DOCKER_BUILDKIT": "1"}
    try:
        done = subprocess.run(
            [*compose, "build"], cwd=repository, env=buildkit, timeout=WITHIN_SEC, stdout=output, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"The images were not built within {WITHIN_SEC // 60} minutes.") from None
    if done.returncode != 0:
        raise CommandFailed("The images could not be built; what failed stands above.")
