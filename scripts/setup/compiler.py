"""The machine's C++ compiler and CPU, as far as they decide what a compiled llama.cpp looks like."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# What -march=native turns into instructions. The other words of /proc/cpuinfo (bugs, mitigations, virtualisation)
# come and go with kernel updates and would only cause needless builds.
_INSTRUCTION_SETS = (
    "sse", "ssse3", "avx", "amx", "fma", "f16c", "bmi", "popcnt", "movbe", "abm", "adx", "aes", "pclmulqdq",
    "sha_ni", "gfni", "vaes", "vpclmulqdq",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C++ compiler: the program and what it says of its version."""

    path: Path
    version: str


def cpu_features(cpuinfo: Path = CPUINFO) -> tuple[str, ...]:
    """The instruction sets of this CPU, sorted; on ARM all it lists. Empty where nothing tells."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return tuple(sorted(word for word in words.split() if word.startswith(_INSTRUCTION_SETS)))
        if name.strip() == "Features":
            return tuple(sorted(words.split()))
    return ()


def find_compiler(variables: Mapping[str, str]) -> Compiler | None:
    """The compiler that CMake will take: CXX, else the first of c++, g++ and clang++ on PATH; None if there is none."""
    for name in (variables.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name, path=variables.get("PATH")) if name else None
        if path:
            return Compiler(Path(path), _version(path))
    return None


def _version(path: str) -> str:
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (answer.stdout.splitlines() or ["unknown"])[0]
