"""Building llama.cpp: the key of a build, how many compilers at once, ninja's output as progress."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from scripts.quantities import GIB
from scripts.setup.compiler import Compiler
from scripts.setup.llama import (
    NATIVE,
    PORTABLE,
    Kind,
    NinjaReader,
    cached_wheel,
    parallel_jobs,
    recipe_digest,
    wheel_key,
)
from scripts.setup.memory import Memory
from scripts.surroundings import REPOSITORY
from scripts.terminal import Terminal

GCC_12 = Compiler(Path("/usr/bin/c++"), "c++ (Debian) 12.2.0")
GCC_14 = Compiler(Path("/usr/bin/c++"), "c++ (Debian) 14.2.0")


def test_another_compiler_gives_another_build() -> None:
    assert wheel_key(REPOSITORY, GCC_12) == wheel_key(REPOSITORY, GCC_12)
    assert wheel_key(REPOSITORY, GCC_12) != wheel_key(REPOSITORY, GCC_14)


def test_a_build_for_any_cpu_is_another_build_and_the_same_on_every_machine() -> None:
    elsewhere = Kind(NATIVE.made_for, NATIVE.recipes, lambda: ("avx512f",))
    assert len({recipe_digest(REPOSITORY, kind) for kind in (NATIVE, PORTABLE, elsewhere)}) == 3
    assert PORTABLE.features() == ()


def test_every_recipe_includes_the_ones_before_it() -> None:
    for kind in (NATIVE, PORTABLE):
        for included, recipe in itertools.pairwise(kind.recipes):
            assert f"/{included.name}" in recipe.read_text()


def test_only_a_finished_wheel_is_taken_from_the_shelf(tmp_path: Path) -> None:
    assert cached_wheel(tmp_path / "absent") is None
    unfinished = tmp_path / "build-x"
    unfinished.mkdir()
    (unfinished / "llama.whl").touch()
    assert cached_wheel(tmp_path) is None
    (tmp_path / "llama.whl").touch()
    assert cached_wheel(tmp_path) == tmp_path / "llama.whl"


@given(cores=some.integers(1, 256), gib=some.integers(0, 1024))
def test_compilers_fit_cores_and_memory_but_one_always_runs(cores: int, gib: int) -> None:
    jobs = parallel_jobs(cores, Memory(total=gib * GIB, available=gib * GIB))
    assert 1 <= jobs <= cores
    assert jobs == 1 or jobs <= gib


def test_unknown_memory_leaves_it_to_the_cores() -> None:
    assert parallel_jobs(8, None) == 8


def test_ninja_steps_are_read_out_of_pips_output() -> None:
    stream = io.StringIO()
    with Terminal(stream, live=False).bar("llama.cpp") as bar:
        reader = NinjaReader(bar)
        reader.read("  Downloading llama_cpp_python-0.3.36.tar.gz (76.6 MB)")
        reader.read("  [9/83] /usr/bin/g++ -O3 -o a.dir/ggml.cpp.o -c /tmp/x/ggml/src/ggml.cpp")
        reader.read("  [83/83] : && /usr/bin/cmake -E create_symlink libllama.so.0 bin/libllama.so")
        reader.read("a warning: [5/6] of something")
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "  llama.cpp: 83 of 83"
    assert bar.total == 83
    assert lines[0] == "  llama.cpp: fetching the source, 77 MB"
    assert any("9 of 83, ggml.cpp" in line for line in lines)
