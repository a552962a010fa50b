"""Run as a program: pip, tied to its parent's life, with its temporary files where they belong.

    python -P pip_child.py SCRATCH_FOLDER pip-arguments…

Two things pip cannot be told by option: to die when hermes is killed (else it would go on beside the pip of
the resumed job), and to unpack beside the models instead of in /tmp, which is often small. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import tempfile
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent ends; elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the request was made
        sys.exit(1)


def main() -> None:
    """Become pip."""
    die_with_parent()
    tempfile.tempdir = sys.argv.pop(1)
    sys.argv[0] = "pip"
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
