"""What the parent of a worker must know: the spec it writes to stdin and the environment it starts us with.

Imports nothing of llama.cpp, so that Switch can use it. The protocol:

* the parent writes one JSON line (`WorkerSpec.line()`) to the worker's stdin and keeps stdin open: the
  worker leaves when it closes. It must start the worker from its main thread, because the kernel's
  parent-death signal, the second net, fires when the starting *thread* ends;
* the worker writes JSON lines to stdout: `{"event": "loading", "progress": 0.42}` while it loads, then
  one `{"event": "ready", ...}` (see `canary.Report`), or `{"event": "failed", "code", "detail"}` and a
  non-zero exit. Codes: `bad_spec`, `not_found`, `not_gguf`, `load_failed`, `context_failed`,
  `canary_failed`, `socket_failed`. An exit without a line is a crash (SIGSEGV, SIGILL, OOM kill): the
  parent tries once more with `use_extra_bufts=False`;
* log lines go to stderr.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

SPEC_LIMIT_BYTES = 1 << 20
MAX_SEQUENCE_IDS = 256  # LLAMA_MAX_SEQ


class BadSpecError(ValueError):
    """The line on stdin is not a spec; the message says which field and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """One model and how to run it.

    `n_ctx` is the longest conversation of one sequence, prompt and answer together, in tokens; `n_seq_max`
    how many sequences run at once; `kv_tokens` the size of the memory they share (0: `n_ctx * n_seq_max`).
    `n_batch` is the most tokens of one step, `n_chunk` the most prompt tokens of a step in which somebody
    waits for the next token of an answer: it bounds how long a new prompt may hold up running answers.
    `n_kept` finished sequences may stay in KV memory for those who continue them (0: none, and nothing is shared), with
    at most `kept_tokens` tokens beside running ones; a beginning of fewer than `min_reuse` tokens is not worth it. What
    leaves KV memory is kept in `prefix_ram_mb` MiB (0: nothing is remembered at all) and, after `save_after_ms` of
    idleness, in files below `prefix_folder`, `prefix_disk_mb` MiB for all models (0: none); they are found again by
    `model_sha256`. `proved` is what an earlier worker of this very file said of `prefix_reuse` (empty: there was none),
    so that only the first decode has to be proved again. At most `n_threads` decode one token of one sequence, at most
    `n_threads_batch` everything larger.
    """

    model_path: str
    model_name: str
    socket_path: str
    aliases: tuple[str, ...] = ()
    n_ctx: int = 4096
    n_seq_max: int = 8
    kv_tokens: int = 0
    n_batch: int = 512
    n_chunk: int = 128
    n_threads: int = 1
    n_threads_batch: int = 2
    use_extra_bufts: bool = True
    max_waiting: int = 64
    chat_template: str | None = None
    n_kept: int = 0
    kept_tokens: int = 0
    min_reuse: int = 16
    prefix_ram_mb: int = 0
    prefix_disk_mb: int = 0
    prefix_folder: str = ""
    save_after_ms: int = 5000
    model_sha256: str = ""
    proved: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never run."""
        for name in ("n_ctx", "n_seq_max", "n_batch", "n_chunk", "n_threads", "n_threads_batch", "min_reuse"):
            if getattr(self, name) < 1:
                raise BadSpecError(f"{name} must be at least 1")
        for name in ("n_kept", "kept_tokens", "prefix_ram_mb", "prefix_disk_mb", "save_after_ms"):
            if getattr(self, name) < 0:
                raise BadSpecError(f"{name} must not be negative")
        if self.n_seq_max + self.n_kept > MAX_SEQUENCE_IDS:
            raise BadSpecError(f"n_seq_max and n_kept must not exceed {MAX_SEQUENCE_IDS} together")
        if self.n_seq_max > self.n_batch:
            raise BadSpecError("n_batch must be at least n_seq_max: each running answer needs a place in each step")
        if self.kv_tokens and self.kv_tokens < self.n_ctx:
            raise BadSpecError("kv_tokens must hold at least one sequence of n_ctx tokens")

    @property
    def total_kv_tokens(self) -> int:
        """Tokens of KV memory to allocate for all sequences together."""
        return self.kv_tokens or self.n_ctx * self.n_seq_max

    def line(self) -> str:
        """The spec as the one line to write to the worker's stdin."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def parse(cls, line: bytes | str) -> WorkerSpec:
        """Read `line()` back; raises BadSpecError."""
        try:
            members = json.loads(line)
        except ValueError as error:
            raise BadSpecError(f"the spec is not JSON: {error}") from error
        if not isinstance(members, dict):
            raise BadSpecError("the spec is not a JSON object")
        return cls(**_checked(members))


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "bool": lambda value: isinstance(value, bool),
    "str | None": lambda value: value is None or isinstance(value, str),
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(isinstance(part, str) for part in value),
}


def _checked(members: dict[str, Any]) -> dict[str, Any]:
    """`members` with known names and right types only; raises BadSpecError."""
    fields = {field.name: field for field in dataclasses.fields(WorkerSpec)}
    missing = {name for name, field in fields.items() if field.default is dataclasses.MISSING} - members.keys()
    if missing or members.keys() - fields.keys():
        raise BadSpecError(f"missing members {sorted(missing)}, unknown {sorted(members.keys() - fields.keys())}")
    for name, value in members.items():
        if not _CHECKS[str(fields[name].type)](value):
            raise BadSpecError(f"{name} must be of type {fields[name].type}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in members.items()}


def worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a worker with: `base` and what must be set before its first instruction.

    OpenMP's threads spin at each barrier, here for about 3 ms (libgomp's own default; clang's libomp: 200), then
    sleep. On an idle machine that is fastest (two cores, SmolLM2: 108 tokens a second with two spinning threads, 75
    with one, 24 to 56 with two that sleep at once); beside any other busy program it is a cliff, which
    `watch` keeps the engine away from.
    """
    kept = {name: value for name, value in base.items() if name != "OMP_WAIT_POLICY"}
    return {**kept, "GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "3", "MALLOC_ARENA_MAX": "2"}
