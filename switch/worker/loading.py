"""From a spec to a model that has proved to work, or to a plain reason why there is none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.clock import Clock
from switch.worker import canary
from switch.worker.archive import Archive
from switch.worker.binding import VERSION
from switch.worker.compute import LibraryError
from switch.worker.embedding import Embedder, EmbeddingContext
from switch.worker.library import Context, Log, Model
from switch.worker.lifeline import process_memory
from switch.worker.prefixes import Prefixes
from switch.worker.spec import WorkerSpec
from switch.worker.state_files import StateFiles
from switch.worker.template import ChatTemplate, TemplateUnusableError

_MAGIC = b"GGUF"
_PROGRESS_STEP = 0.05
_SHORTEST_FILE = 64  # tokens; reading fewer again is quicker than keeping them is worth
_MIB = 1 << 20
_log = logging.getLogger(__name__)


class NoServiceError(Exception):
    """The worker cannot serve; `code` is one of those in `spec`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that has proved to work, and what its parent and `/health` are told of it."""

    spec: WorkerSpec
    model: Model
    context: Context
    prefixes: Prefixes
    template: ChatTemplate | None
    embedder: Embedder
    facts: dict[str, Any]


def load(spec: WorkerSpec, on_progress: Callable[[float], None], clock: Clock) -> Loaded:
    """The model and a context for it, tried out by the canary; raises NoServiceError.

    `on_progress` is told how far the weights are, 0.0 to 1.0, in steps that are worth telling.
    """
    _check_file(Path(spec.model_path))
    log, started = Log(_log.warning), time.monotonic()
    model = _open_model(spec, log, on_progress)
    spec = dataclasses.replace(spec, n_ctx=min(spec.n_ctx, model.n_ctx_train or spec.n_ctx))
    if model.is_recurrent or not spec.prefix_ram_mb:
        spec = dataclasses.replace(spec, n_kept=0)  # the memory of a recurrent model is one piece a sequence
    context = _open_context(spec, model, log)
    load_ms = (time.monotonic() - started) * 1000
    report = _canary(spec, model, context)
    spec = _as_proved(spec, report)
    template = _template(spec, model, clock)
    facts = {
        "load_ms": round(load_ms, 1),
        "canary_ms": round(report.milliseconds, 1),
        "canary": {"tokens": report.tokens, "text": report.text},
        "chat_template": template is not None,
        "n_ctx": spec.n_ctx,
        "n_ctx_train": model.n_ctx_train,
        "n_seq_max": spec.n_seq_max,
        "kv_tokens": spec.total_kv_tokens,
        "n_vocab": model.n_vocab,
        "n_params": model.n_params,
        "model_bytes": model.size_bytes,
        "prefix_reuse": "shared" if spec.n_kept else "whole" if spec.prefix_ram_mb else "off",
        "threads": [spec.n_threads, spec.n_threads_batch],
        "memory": process_memory(),
    }
    return Loaded(spec, model, context, _prefixes(spec, context), template, _embedder(spec, model, log), facts)


def _embedder(spec: WorkerSpec, model: Model, log: Log) -> Embedder:
    """What makes the context for embeddings when somebody wants one."""
    return Embedder(lambda: EmbeddingContext(model, log, n_ctx=spec.n_ctx, n_threads=spec.n_threads_batch))


def _check_file(path: Path) -> None:
    """Tell the plain faults of a file apart before llama.cpp does it in its own words."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise NoServiceError("not_found", f"{path.name} cannot be read: {error.strerror}.") from error
    if magic != _MAGIC:
        raise NoServiceError("not_gguf", f"{path.name} is no GGUF file: it begins with {magic!r}.")


def _open_model(spec: WorkerSpec, log: Log, on_progress: Callable[[float], None]) -> Model:
    told = 0.0

    def progress(done: float) -> None:
        nonlocal told
        if done - told >= _PROGRESS_STEP or done == 1.0 > told:
            told = done
            on_progress(done)

    try:
        return Model(spec.model_path, log, use_extra_bufts=spec.use_extra_bufts, on_progress=progress)
    except LibraryError as error:
        raise NoServiceError("load_failed", f"The model did not load: {error}.") from error


def _open_context(spec: WorkerSpec, model: Model, log: Log) -> Context:
    try:
        return Context(
            model,
            log,
            kv_tokens=spec.total_kv_tokens,
            n_seq_max=spec.n_seq_max,
            n_batch=spec.n_batch,
            n_threads=spec.n_threads_batch,
            n_kept=spec.n_kept,
        )
    except LibraryError as error:
        raise NoServiceError("context_failed", f"No context of {spec.total_kv_tokens} tokens: {error}.") from error


def _canary(spec: WorkerSpec, model: Model, context: Context) -> canary.Report:
    try:
        # With one thread: the machine may be busy, and nobody watches yet (`watch`).
        singer = canary.Canary(model, context, threads=1)
        if spec.proved:
            report = singer.sing(length=1)
            shares, restores = spec.proved == "shared", spec.proved in ("shared", "whole")
            return dataclasses.replace(report, shares=shares, restores=restores)
        return singer.sing(share=spec.n_kept > 0, restore=spec.prefix_ram_mb > 0)
    except (canary.CanaryError, LibraryError) as error:
        raise NoServiceError("canary_failed", f"The model loads, but does not compute: {error}.") from error


def _as_proved(spec: WorkerSpec, report: canary.Report) -> WorkerSpec:
    """Only what the canary has shown to work is done: sharing beginnings, and restoring what was saved."""
    n_kept = spec.n_kept if report.shares else 0
    stored = spec.prefix_ram_mb if report.restores else 0
    return dataclasses.replace(spec, n_kept=n_kept, prefix_ram_mb=stored)


def _prefixes(spec: WorkerSpec, context: Context) -> Prefixes:
    """The memory of prompts, as far as it is wanted and works with this model."""
    if not spec.prefix_ram_mb:
        return Prefixes(context.memory, spec)
    archive = Archive(
        context.memory,
        ram_bytes=spec.prefix_ram_mb * _MIB,
        files=_state_files(spec),
        shortest=_SHORTEST_FILE,
        cuts=spec.n_kept > 0,
    )
    return Prefixes(context.memory, spec, archive)


def _state_files(spec: WorkerSpec) -> StateFiles | None:
    """Where states outlive the worker, found again by all that decides what a state means."""
    if not (spec.prefix_disk_mb and spec.prefix_folder and spec.model_sha256):
        return None
    parameters = [spec.model_sha256, VERSION, spec.use_extra_bufts, spec.n_kept > 0]
    key = hashlib.sha256(json.dumps(parameters).encode()).digest()
    try:
        return StateFiles(Path(spec.prefix_folder), key, spec.prefix_disk_mb * _MIB)
    except OSError as error:
        _log.warning("no states are kept on disk", extra={"reason": str(error)})
        return None


def _template(spec: WorkerSpec, model: Model, clock: Clock) -> ChatTemplate | None:
    """The chat template, if there is one and it can be used; a model without still completes text."""
    source = spec.chat_template or model.chat_template
    if not source:
        return None
    try:
        return ChatTemplate(source, bos=model.bos_text, eos=model.eos_text, now=clock.now)
    except TemplateUnusableError as error:
        _log.warning("the chat template cannot be used", extra={"reason": str(error)})
        return None
