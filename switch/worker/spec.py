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
from collections.abc import Mapping
from typing import Any

SPEC_LIMIT_BYTES = 1 << 20


class BadSpec(ValueError):
    """The line on stdin is not a spec; the message says which field and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """One model and how to run it.

    `n_ctx` is the longest conversation of one sequence, prompt and answer together, in tokens; `n_seq_max`
    how many sequences run at once; `kv_tokens` the size of the memory they share (0: `n_ctx * n_seq_max`).
    `n_batch` is the most tokens of one step, `n_chunk` the most prompt tokens of a step in which somebody
    waits for the next token of an answer: it bounds how long a new prompt may hold up running answers.
    `n_threads` decode one token of one sequence, `n_threads_batch` everything larger.
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

    def __post_init__(self) -> None:
        """Refuse what could never run."""
        for name in ("n_ctx", "n_seq_max", "n_batch", "n_chunk", "n_threads", "n_threads_batch"):
            if getattr(self, name) < 1:
                raise BadSpec(f"{name} must be at least 1")
        if self.n_seq_max > self.n_batch:
            raise BadSpec("n_batch must be at least n_seq_max: each running answer needs a place in each step")
        if self.kv_tokens and self.kv_tokens < self.n_ctx:
            raise BadSpec("kv_tokens must hold at least one sequence of n_ctx tokens")

    @property
    def total_kv_tokens(self) -> int:
        """Tokens of KV memory to allocate for all sequences together."""
        return self.kv_tokens or self.n_ctx * self.n_seq_max

    def line(self) -> str:
        """The spec as the one line to write to the worker's stdin."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @classmethod
    def parse(cls, line: bytes | str) -> WorkerSpec:
        """Read `line()` back; raises BadSpec."""
        try:
            members = json.loads(line)
        except ValueError as error:
            raise BadSpec(f"the spec is not JSON: {error}") from error
        if not isinstance(members, dict):
            raise BadSpec("the spec is not a JSON object")
        return cls(**_checked(members))


def _checked(members: Mapping[str, Any]) -> dict[str, Any]:
    """`members` with known names and right types only; raises BadSpec."""
    fields = {field.name: field for field in dataclasses.fields(WorkerSpec)}
    unknown = set(members) - set(fields)
    required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if unknown or required - set(members):
        raise BadSpec(f"unknown members {sorted(unknown)}, missing members {sorted(required - set(members))}")
    return {name: _value(name, members[name], fields[name].default) for name in members}


def _value(name: str, value: Any, default: Any) -> Any:
    """`value` if it has the type of the member `name`."""
    if name == "aliases" and isinstance(value, list) and all(isinstance(alias, str) for alias in value):
        return tuple(value)
    wanted: type | tuple[type, ...]
    if name == "chat_template":
        wanted = (str, type(None))
    else:
        wanted = str if default is dataclasses.MISSING else type(default)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise BadSpec(f"{name} has the wrong type: {type(value).__name__}")
    return value


def worker_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment to start a worker with: `base` and what must be set before its first instruction."""
    return {**base, "OMP_WAIT_POLICY": "passive", "MALLOC_ARENA_MAX": "2"}
