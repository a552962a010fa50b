"""The peer of the worker: the same library driven directly, in one process, by a bare batched loop.

No HTTP, no queue, no template, no stop strings: prefill all prompts, then one token a sequence a step, greedily, each
turned into text. It shares no code with `switch/worker`, so a mistake there is not repeated here. `measure_peer` runs
it in a process of its own, as `./vx11 bench` does; the prompts go in as text, so the same text sent to
`/v1/completions` gives the same tokens.

    python scripts/bench_worker.py MODEL.gguf --streams 1,4,8 --tokens 64 --runs 5
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROMPT = (
    "Stream {stream}. A lighthouse keeper writes in his log every evening: the wind, the ships that passed, the birds "
    "that rested on the gallery, and one thing that he had not noticed the day before. Tonight he begins:"
)
N_BATCH = 512


@dataclass(frozen=True, slots=True)
class Run:
    """One run: tokens a second over all streams while they decode, over the whole run, and each first token in ms."""

    decode_tokens_per_second: float
    total_tokens_per_second: float
    first_token_ms: list[float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the runs of one number of streams."""

    streams: int
    tokens: int
    runs: int
    decode_tokens_per_second: float
    total_tokens_per_second: float
    first_token_ms_median: float
    first_token_ms_last: float


def prompts(streams: int, first: int = 1) -> list[str]:
    """One prompt a stream, numbered from `first`, different from its first words on, so that nothing can be shared."""
    return [PROMPT.format(stream=stream) for stream in range(first, first + streams)]


def figures(runs: Sequence[Run], *, tokens: int) -> Figures:
    """The medians of `runs`."""
    return Figures(
        streams=len(runs[0].first_token_ms),
        tokens=tokens,
        runs=len(runs),
        decode_tokens_per_second=round(statistics.median(run.decode_tokens_per_second for run in runs), 2),
        total_tokens_per_second=round(statistics.median(run.total_tokens_per_second for run in runs), 2),
        first_token_ms_median=round(statistics.median(statistics.median(run.first_token_ms) for run in runs), 1),
        first_token_ms_last=round(statistics.median(max(run.first_token_ms) for run in runs), 1),
    )


def measure_peer(
    model: Path,
    *,
    streams: Sequence[int] = (1, 4, 8),
    tokens: int = 64,
    runs: int = 5,
    threads: int = 1,
    threads_batch: int = 2,
    environment: Mapping[str, str] | None = None,
) -> list[Figures]:
    """Run the bare loop in a process of its own; one `Figures` for each number of streams."""
    command = [sys.executable, str(Path(__file__).resolve()), str(model), "--tokens", str(tokens), "--runs", str(runs)]
    command += ["--streams", ",".join(map(str, streams)), "--threads", str(threads)]
    command += ["--threads-batch", str(threads_batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [Figures(**members) for members in json.loads(done.stdout)["figures"]]


class Bare:
    """llama.cpp with one batch and no more around it than it needs."""

    def __init__(self, model: Path, *, n_ctx: int, n_seq: int, threads: int, threads_batch: int) -> None:
        from llama_cpp import llama_cpp as lib  # noqa: PLC0415 - the caller of `measure_peer` must not load it

        self.lib = lib
        self._quiet = lib.llama_log_callback(lambda *_: None)
        lib.llama_log_set(self._quiet, None)
        lib.llama_backend_init()
        self.model = lib.llama_model_load_from_file(str(model).encode(), lib.llama_model_default_params())
        params = lib.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified, params.no_perf = n_ctx * n_seq, n_seq, True, True
        params.n_batch = params.n_ubatch = N_BATCH
        params.n_threads, params.n_threads_batch = threads, threads_batch
        self.context = lib.llama_init_from_model(self.model, params)
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.memory = lib.llama_get_memory(self.context)
        self.batch = lib.llama_batch_init(N_BATCH, 0, 1)
        self.sampler = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        lib.llama_sampler_chain_add(self.sampler, lib.llama_sampler_init_greedy())
        self._piece = ctypes.create_string_buffer(256)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a prompt."""
        raw = text.encode()
        out = (self.lib.llama_token * (len(raw) + 8))()
        return list(out[: self.lib.llama_tokenize(self.vocab, raw, len(raw), out, len(out), True, True)])

    def run(self, texts: Sequence[str], tokens: int) -> Run:
        """Answer all `texts` together with `tokens` tokens each."""
        self.lib.llama_memory_clear(self.memory, False)
        started = time.perf_counter()
        ids = [self.tokenize(text) for text in texts]
        last, first_at = self._prefill(ids)
        filled = time.perf_counter()
        for step in range(tokens - 1):
            self.batch.n_tokens = 0
            for seq, token in enumerate(last):
                self._add(token, len(ids[seq]) + step, seq, wanted=True)
            self._decode()
            last = [self._next(row) for row in range(len(last))]
        ended = time.perf_counter()
        return Run(
            decode_tokens_per_second=len(texts) * (tokens - 1) / (ended - filled),
            total_tokens_per_second=len(texts) * tokens / (ended - started),
            first_token_ms=[(at - started) * 1000 for at in first_at],
        )

    def answer(self, text: str, tokens: int) -> list[int]:
        """The greedy answer to one prompt: `tokens` tokens, whatever they are."""
        self.lib.llama_memory_clear(self.memory, False)
        prompt = self.tokenize(text)
        said, _ = self._prefill([prompt])
        for step in range(tokens - 1):
            self.batch.n_tokens = 0
            self._add(said[-1], len(prompt) + step, 0, wanted=True)
            self._decode()
            said.append(self._next(0))
        return said

    def _prefill(self, ids: Sequence[Sequence[int]]) -> tuple[list[int], list[float]]:
        """Evaluate all prompts, full batches; the first token of each and when it was there."""
        last, first_at = [0] * len(ids), [0.0] * len(ids)
        todo = [(seq, at) for seq, tokens in enumerate(ids) for at in range(len(tokens))]
        for start in range(0, len(todo), N_BATCH):
            self.batch.n_tokens = 0
            rows: dict[int, int] = {}
            for row, (seq, at) in enumerate(todo[start : start + N_BATCH]):
                ends = at == len(ids[seq]) - 1
                self._add(ids[seq][at], at, seq, wanted=ends)
                if ends:
                    rows[seq] = row
            self._decode()
            for seq, row in rows.items():
                last[seq], first_at[seq] = self._next(row), time.perf_counter()
        return last, first_at

    def _add(self, token: int, position: int, seq: int, *, wanted: bool) -> None:
        batch, row = self.batch, self.batch.n_tokens
        batch.token[row], batch.pos[row], batch.logits[row] = token, position, wanted
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, seq
        batch.n_tokens = row + 1

    def _decode(self) -> None:
        status = self.lib.llama_decode(self.context, self.batch)
        if status != 0:
            raise RuntimeError(f"llama_decode answered {status}")

    def _next(self, row: int) -> int:
        token = self.lib.llama_sampler_sample(self.sampler, self.context, row)
        self.lib.llama_token_to_piece(self.vocab, token, self._piece, len(self._piece), 0, False)
        return int(token)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The bare batched loop on llama.cpp, measured.")
    parser.add_argument("model", type=Path, nargs="?", help="a GGUF file; the smallest in models/, unless given")
    parser.add_argument("--streams", default="1,4,8")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--threads-batch", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    """Measure and print one JSON object."""
    wanted = _arguments()
    model = wanted.model or min(Path("models").glob("*.gguf"), key=lambda file: file.stat().st_size)
    counts = [int(count) for count in wanted.streams.split(",")]
    n_ctx = 256 + wanted.tokens
    bare = Bare(model, n_ctx=n_ctx, n_seq=max(counts), threads=wanted.threads, threads_batch=wanted.threads_batch)
    bare.run(prompts(max(counts)), 4)
    found: list[dict[str, Any]] = []
    for count in counts:
        runs = [bare.run(prompts(count), wanted.tokens) for _ in range(wanted.runs)]
        found.append(asdict(figures(runs, tokens=wanted.tokens)))
    print(json.dumps({"model": model.name, "figures": found}))


if __name__ == "__main__":
    main()
