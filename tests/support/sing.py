"""Run inside switch's image: one module of llama.cpp, named on the command line, computes a few tokens of a model.

Prints what it said and the module it was computed with, as JSON; exit status 3 where this CPU cannot run the module.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

from switch.worker.backends import load_backends
from switch.worker.binding import MODULES, ggml
from switch.worker.canary import Canary
from switch.worker.library import Context, Log, Model


def main(module: str, model_file: str) -> int:
    """Load `module` (or, if it is `best`, what llama.cpp chooses) and let the canary sing."""
    if module != "best":
        path = MODULES / f"libggml-cpu-{module}.so"
        if ctypes.CDLL(str(path)).ggml_backend_score() == 0:
            return 3
        ggml.ggml_backend_load.argtypes = [ctypes.c_char_p]
        ggml.ggml_backend_load(bytes(path))
    load_backends()
    log = Log(lambda _: None)
    model = Model(model_file, log)
    context = Context(model, log, kv_tokens=256, n_seq_max=1, n_batch=64, n_threads=1)
    said = Canary(model, context, threads=1).sing().text
    used = {
        Path(line.split()[-1]).name
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "libggml-cpu-" in line
    }
    print(json.dumps({"said": said, "modules": sorted(used)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
