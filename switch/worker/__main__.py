"""The life of a worker: read the spec, load, prove it works, listen, serve until the parent lets go.

`python -m switch.worker`; `spec` describes what goes over stdin and stdout. The environment of
`spec.worker_environment` must be set by the parent, since OpenMP reads it before Python runs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from config.clock import SystemClock
from config.errors import Internal
from config.logs import set_up
from switch.worker import canary
from switch.worker.compute import LibraryError
from switch.worker.engine import Engine
from switch.worker.library import Context, Log, Model
from switch.worker.lifeline import Stdin, be_the_first_to_go, die_with_parent, process_memory
from switch.worker.outlet import distribute
from switch.worker.server import Served, Worker
from switch.worker.spec import SPEC_LIMIT_BYTES, BadSpec, WorkerSpec
from switch.worker.template import ChatTemplate, TemplateUnusable

_MAGIC = b"GGUF"
_BACKLOG = 128
_GRACE_SECONDS = 2
_PROGRESS_STEP = 0.05
_SWITCH_INTERVAL = 0.0005  # seconds a thread may keep the GIL while the engine waits for it
_log = logging.getLogger(__name__)


class CannotServe(Exception):
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
    template: ChatTemplate | None
    facts: dict[str, Any]


def main() -> int:
    """Run one worker; the exit code."""
    die_with_parent()
    be_the_first_to_go()
    set_up("worker", "INFO")
    sys.setswitchinterval(_SWITCH_INTERVAL)
    stdin = Stdin(sys.stdin.buffer)
    try:
        spec = _read_spec(stdin)
        loaded = _load(spec)
        listener = _listen(spec.socket_path)
    except CannotServe as failure:
        _tell({"event": "failed", "code": failure.code, "detail": str(failure)})
        return 1
    return asyncio.run(_serve(loaded, listener, stdin))


def _tell(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _read_spec(stdin: Stdin) -> WorkerSpec:
    try:
        return WorkerSpec.parse(stdin.first_line(SPEC_LIMIT_BYTES))
    except BadSpec as error:
        raise CannotServe("bad_spec", f"The spec on stdin is of no use: {error}.") from error


def _load(spec: WorkerSpec) -> Loaded:
    """The model and a context for it, tried out by the canary; raises CannotServe."""
    _check_file(Path(spec.model_path))
    log, started = Log(_log.warning), time.monotonic()
    model = _open_model(spec, log)
    spec = dataclasses.replace(spec, n_ctx=min(spec.n_ctx, model.n_ctx_train or spec.n_ctx))
    context = _open_context(spec, model, log)
    load_ms = (time.monotonic() - started) * 1000
    report = _canary(spec, model, context)
    template = _template(spec, model)
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
        "threads": [spec.n_threads, spec.n_threads_batch],
        "memory": process_memory(),
    }
    return Loaded(spec, model, context, template, facts)


def _check_file(path: Path) -> None:
    """Tell the plain faults of a file apart before llama.cpp does it in its own words."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise CannotServe("not_found", f"{path.name} cannot be read: {error.strerror}.") from error
    if magic != _MAGIC:
        raise CannotServe("not_gguf", f"{path.name} is no GGUF file: it begins with {magic!r}.")


def _open_model(spec: WorkerSpec, log: Log) -> Model:
    told = 0.0

    def progress(done: float) -> None:
        nonlocal told
        if done - told >= _PROGRESS_STEP or done == 1.0 > told:
            told = done
            _tell({"event": "loading", "progress": round(done, 3)})

    try:
        return Model(spec.model_path, log, use_extra_bufts=spec.use_extra_bufts, on_progress=progress)
    except LibraryError as error:
        raise CannotServe("load_failed", f"The model did not load: {error}.") from error


def _open_context(spec: WorkerSpec, model: Model, log: Log) -> Context:
    try:
        return Context(
            model,
            log,
            kv_tokens=spec.total_kv_tokens,
            n_seq_max=spec.n_seq_max,
            n_batch=spec.n_batch,
            n_threads=spec.n_threads_batch,
        )
    except LibraryError as error:
        raise CannotServe("context_failed", f"No context of {spec.total_kv_tokens} tokens: {error}.") from error


def _canary(spec: WorkerSpec, model: Model, context: Context) -> canary.Report:
    try:
        return canary.sing(model, context, threads=spec.n_threads)
    except (canary.CanaryFailed, LibraryError) as error:
        raise CannotServe("canary_failed", f"The model loads, but does not compute: {error}.") from error


def _template(spec: WorkerSpec, model: Model) -> ChatTemplate | None:
    """The chat template, if there is one and it can be used; a model without still completes text."""
    source = spec.chat_template or model.chat_template
    if not source:
        return None
    try:
        return ChatTemplate(source, bos=model.bos_text, eos=model.eos_text, now=SystemClock().now)
    except TemplateUnusable as error:
        _log.warning("the chat template cannot be used", extra={"reason": str(error)})
        return None


def _listen(path: str) -> socket.socket:
    """The socket, listening already when the parent hears of it, and for this user only."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(path).unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise CannotServe("socket_failed", f"The socket {path} cannot be used: {error.strerror or error}.") from error
    return listener


async def _serve(loaded: Loaded, listener: socket.socket, stdin: Stdin) -> int:
    """Answer until the parent closes stdin, a signal comes, or the engine breaks."""
    loop, spec = asyncio.get_running_loop(), loaded.spec
    engine = Engine(loaded.context, spec, lambda outputs: loop.call_soon_threadsafe(distribute, outputs))
    served = Served(
        spec=spec,
        engine=engine,
        tokenize=loaded.model.tokenize,
        n_vocab=loaded.model.n_vocab,
        template=loaded.template,
        bos_text=loaded.model.bos_text if loaded.model.adds_bos else "",
        facts=loaded.facts,
        clock=SystemClock(),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            Worker(served),
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    def leave() -> None:
        engine.stop()
        server.should_exit = True

    thread = threading.Thread(
        target=_run_engine, args=(engine, lambda: loop.call_soon_threadsafe(leave)), name="engine"
    )
    thread.daemon = True
    thread.start()
    stdin.on_close(lambda: loop.call_soon_threadsafe(leave))
    _tell({"event": "ready", **loaded.facts})
    await server.serve(sockets=[listener])
    engine.stop()
    await asyncio.to_thread(thread.join, _GRACE_SECONDS)
    Path(spec.socket_path).unlink(missing_ok=True)
    return 1 if isinstance(engine.error, Internal) else 0


def _run_engine(engine: Engine[Any], done: Callable[[], object]) -> None:
    """The engine's thread: when it ends, for whatever reason, so does the worker."""
    try:
        engine.run()
    finally:
        done()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Freeing gigabytes page by page before they are unmapped anyway would only make the next model wait.
    os._exit(code)
