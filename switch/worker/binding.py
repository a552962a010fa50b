"""llama-cpp-python's low-level bindings, imported here and nowhere else.

The package's `__init__` pulls in its high-level class and with it numpy (20 MB and 0.4 s a worker,
measured), none of which is used here; so the submodules are imported under a bare package object.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llama_cpp import llama_cpp as lib
else:
    _spec = importlib.util.find_spec("llama_cpp")
    if _spec is None:
        raise ModuleNotFoundError("llama-cpp-python is not installed", name="llama_cpp")
    _package = ModuleType("llama_cpp")
    _package.__path__ = list(_spec.submodule_search_locations or ())
    sys.modules.setdefault("llama_cpp", _package)
    import llama_cpp.llama_cpp as lib

from llama_cpp.llama_grammar import PRIMITIVE_RULES, BuiltinRule, SchemaConverter

# What libllama is linked with, through its own handle: loaded by name, libggml would be a second copy (wheels hold no
# symbolic links, so each of its names is a file) with a registry of its own.
ggml = lib._lib  # noqa: SLF001
MODULES = lib._base_path  # noqa: SLF001
VERSION = importlib.metadata.version("llama_cpp_python")

__all__ = ["MODULES", "PRIMITIVE_RULES", "VERSION", "BuiltinRule", "SchemaConverter", "ggml", "lib"]
