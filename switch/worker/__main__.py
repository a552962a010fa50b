"""The life of a worker: read the spec, load, prove it works, listen, serve until the parent lets go.

`python -m switch.worker`; `spec` describes what goes over stdin and stdout. The environment of
`spec.worker_environment` must be set by the parent, since OpenMP reads it before Python runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from config.clock import SystemClock
from config.errors import Internal
from config.lifeline import die_with_parent
from config.logs import set_up
from switch.worker.engine import Engine
from switch.worker.lifeline import Stdin, be_the_first_to_go
from switch.worker.limits import Limits
from switch.worker.loading import Loaded, NoServiceError, load
from switch.worker.outlet import Output, distribute
from switch.worker.prompts import Prompts
from switch.worker.server import Served, Worker
from switch.worker.spec import SPEC_LIMIT_BYTES, BadSpecError, WorkerSpec
from switch.worker.watch import Watch

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 65  # longer than Switch keeps an idle connection: the client closes first
_GRACE_SECONDS = 2
_SWITCH_INTERVAL = 0.0005  # seconds a thread may keep the GIL while the engine waits for it


def main() -> int:
    """Run one worker; the exit code."""
    die_with_parent()
    be_the_first_to_go()
    set_up("worker", "INFO")
    sys.setswitchinterval(_SWITCH_INTERVAL)
    stdin = Stdin(sys.stdin.buffer)
    try:
        spec = _read_spec(stdin)
        loaded = load(spec, _tell_progress, SystemClock())
        listener = _listen(spec.socket_path)
    except NoServiceError as failure:
        _tell({"event": "failed", "code": failure.code, "detail": str(failure)})
        return 1
    code = asyncio.run(_serve(loaded, listener, stdin))
    Path(spec.socket_path).unlink(missing_ok=True)
    return code


def _tell(event: dict[str, Any]) -> None:
    """Write one line of the protocol of `spec`."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _tell_progress(done: float) -> None:
    _tell({"event": "loading", "progress": round(done, 3)})


def _read_spec(stdin: Stdin) -> WorkerSpec:
    try:
        return WorkerSpec.parse(stdin.first_line(SPEC_LIMIT_BYTES))
    except BadSpecError as error:
        raise NoServiceError("bad_spec", f"The spec on stdin is of no use: {error}.") from error


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
        raise NoServiceError(
            "socket_failed", f"The socket {path} cannot be used: {error.strerror or error}."
        ) from error
    return listener


async def _serve(loaded: Loaded, listener: socket.socket, stdin: Stdin) -> int:
    """Answer until the parent closes stdin, a signal comes, or the engine breaks; the exit code."""
    loop = asyncio.get_running_loop()

    def deliver(outputs: list[Output]) -> None:
        loop.call_soon_threadsafe(distribute, outputs)

    watch = Watch(max(loaded.spec.n_threads, loaded.spec.n_threads_batch), lambda: loaded.context.abort(True))
    engine = Engine(loaded.context, loaded.spec, deliver, watch, loaded.prefixes)
    server = _server(loaded, engine)

    def leave() -> None:
        engine.stop()
        server.should_exit = True

    def leave_soon() -> None:
        loop.call_soon_threadsafe(leave)

    thread = threading.Thread(target=_run_engine, args=(engine, leave_soon), name="engine", daemon=True)
    thread.start()
    stdin.on_close(leave_soon)
    _tell({"event": "ready", **loaded.facts})
    await server.serve(sockets=[listener])
    engine.stop()
    await asyncio.to_thread(thread.join, _GRACE_SECONDS)
    return 1 if isinstance(engine.error, Internal) else 0


def _server(loaded: Loaded, engine: Engine[Any]) -> uvicorn.Server:
    """The HTTP server, without what nobody behind a socket needs."""
    model, spec = loaded.model, loaded.spec
    bos_text = model.bos_text if model.adds_bos else ""
    prompts = Prompts(model, loaded.template, bos_text=bos_text, n_ctx=spec.n_ctx, model_name=spec.model_name)
    served = Served(
        spec=spec,
        engine=engine,
        prompts=prompts,
        limits=Limits(model.n_vocab, spec.n_seq_max, prompts.format, model.refuses_grammar),
        embedder=loaded.embedder,
        facts=loaded.facts,
        clock=SystemClock(),
    )
    config = uvicorn.Config(
        Worker(served),
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=logging.WARNING,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(config)


def _run_engine(engine: Engine[Any], done: Callable[[], None]) -> None:
    """The engine's thread: when it ends, for whatever reason, so does the worker."""
    try:
        engine.run()
    finally:
        done()


if __name__ == "__main__":
    exit_code = main()
    # Freeing gigabytes page by page before they are unmapped anyway would only make the next model wait.
    os._exit(exit_code)
