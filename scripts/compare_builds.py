"""Does llama.cpp as compiled for this CPU say the same as a generic build? Greedy answers, side by side.

The generic build is the one in the `xllamacpp` wheel (AVX2, no AMX, another compiler). The two are not the
same commit of llama.cpp, and sums rounded in another order can flip a near tie, after which two greedy
answers go different ways; a build that computes wrongly disagrees from the first tokens on.

    python -m scripts.compare_builds [--models FOLDER]        prints JSON
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.bench_worker import Bare
from scripts.measuring import REPOSITORY, model_files

PROMPTS = (
    "The capital of France is",
    "Once upon a time",
    "def fibonacci(n):",
    "La capital de España es",
    "Water boils at",
    "1, 2, 3, 4,",
    "The opposite of hot is",
    "import os\n",
    "Dear Sir or Madam,",
    "Había una vez",
)
TOKENS = 24


def native_answers(model: Path) -> list[str]:
    """Greedy answers of the build that the fleet uses, by the bare loop."""
    bare = Bare(model, n_ctx=256, n_seq=1, threads=1, threads_batch=2)
    return [_text(bare, bare.answer(prompt, TOKENS)) for prompt in PROMPTS]


def _text(bare: Bare, tokens: list[int]) -> str:
    piece = ctypes.create_string_buffer(256)
    parts = []
    for token in tokens:
        length = bare.lib.llama_token_to_piece(bare.vocab, token, piece, len(piece), 0, False)
        parts.append(piece.raw[:length])
    return b"".join(parts).decode(errors="replace")


def generic_answers(model: Path) -> list[str]:
    """Greedy answers of the generic build."""
    import xllamacpp  # noqa: PLC0415  # a test dependency; two llama.cpp must not meet in one process

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel = str(model), 256, 1
    params.cpuparams.n_threads, params.cache_ram_mib = 1, 0
    server = xllamacpp.Server(params)
    wish = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
    answers = [server.handle_completions({**wish, "prompt": prompt}) for prompt in PROMPTS]
    return [str(answer["choices"][0]["text"]) for answer in answers]


def compared(native: list[str], generic: list[str]) -> dict[str, Any]:
    """How far the answers go together: the share of each answer's characters before the first difference."""
    shares = [_common(one, other) / max(1, len(other)) for one, other in zip(native, generic, strict=True)]
    return {
        "prompts": len(shares),
        "identical": sum(share == 1 for share in shares),
        "mean_common_share": round(sum(shares) / len(shares), 3),
        "shortest_common_characters": min(_common(a, b) for a, b in zip(native, generic, strict=True)),
    }


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def compare(model: Path) -> dict[str, Any]:
    """Both builds' answers, each in a process of its own, compared."""
    answers = {build: _in_process(build, model) for build in ("native", "generic")}
    return {"model": model.name, **compared(answers["native"], answers["generic"])}


def _in_process(build: str, model: Path) -> list[str]:
    command = [sys.executable, "-m", "scripts.compare_builds", "--build", build, "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Compare on every model there is; with `--build`, only print one build's answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--build", choices=["native", "generic"])
    parser.add_argument("--model", type=Path)
    wanted = parser.parse_args()
    if wanted.build is None:
        print(json.dumps([compare(file) for file in model_files(wanted.models)], indent=2))
    else:
        answers = {"native": native_answers, "generic": generic_answers}[wanted.build]
        print(json.dumps(answers(wanted.model)))


if __name__ == "__main__":
    main()
