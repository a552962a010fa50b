"""`python -m scripts.setup.wheel FOLDER`: the llama.cpp of the images, compiled for any CPU, left in FOLDER.

The Dockerfile's build stage runs it, in the base image's own Python; what was compiled before comes from the cache.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from scripts.quantities import seconds_in_words
from scripts.setup.failure import SetupFailed
from scripts.setup.llama import PORTABLE, TITLE, wheel_of
from scripts.surroundings import here
from scripts.terminal import terminal_on


def main(folder: Path) -> int:
    """Leave the wheel in `folder`; the exit status."""
    world = here()
    terminal = terminal_on(sys.stderr, colour=world.colour)
    started = terminal.monotonic()
    try:
        wheel, words = wheel_of(PORTABLE, world, terminal)
    except SetupFailed as failure:
        for line in (*failure.tail, failure.sentence, failure.remedy):
            terminal.say(line)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(wheel, folder)
    terminal.done(TITLE, f"{words}, {seconds_in_words(terminal.monotonic() - started)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
