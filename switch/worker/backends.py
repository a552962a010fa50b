"""The computing part of llama.cpp, where it comes as modules.

A build for one machine has it linked in. The build of the images (scripts/setup/portable.cmake) has a module for each
kind of CPU; of those that can run here, llama.cpp loads the one that uses most of it (its `ggml_backend_score`).
"""

from __future__ import annotations

import ctypes

from switch.worker.binding import MODULES, ggml
from switch.worker.compute import LibraryError

ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
ggml.ggml_backend_load_all_from_path.restype = None


def load_backends() -> None:
    """Load the module for this CPU unless one is there; LibraryError where none fits."""
    if ggml.ggml_backend_reg_count() == 0:
        ggml.ggml_backend_load_all_from_path(bytes(MODULES))
    if ggml.ggml_backend_reg_count() == 0:
        raise LibraryError("this build of llama.cpp holds no code for this CPU")
