"""Other people's servers of one model, each a child process on a loopback port, to compare the chain with.

* `llama.cpp`: llama.cpp's own server as the `xllamacpp` wheel ships it, with parameters as its `CommonParams` has them;
* `llama-cpp-python`: the server that comes with that package, on the same compiled library as the fleet's workers.

A child prints its address when it can answer, and leaves when its standard input closes: it outlives no parent.

    python -m scripts.model_peers llama.cpp --model FILE --set n_parallel=8 --set cpuparams.n_threads=1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from config.settings import inherited_environment

REPOSITORY = Path(__file__).resolve().parent.parent
Kind = Literal["llama.cpp", "llama-cpp-python"]
Parameter = str | int | float | bool
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class ModelPeer:
    """A running server: its base URL without a path, and its process."""

    url: str
    pid: int


class PeerDidNotStartError(RuntimeError):
    """A peer ended before it could answer; the message holds what it printed last."""


@contextlib.contextmanager
def serving(
    kind: Kind, model: Path, parameters: Mapping[str, Parameter] | None = None, *, extra_path: Path | None = None
) -> Iterator[ModelPeer]:
    """Run a peer for the length of the block. `extra_path` holds packages that this environment lacks.

    A parameter's name may have a dot (`cpuparams.n_threads`). Blocks until the model is loaded.
    """
    settings = [f"--set={name}={json.dumps(value)}" for name, value in (parameters or {}).items()]
    command = [sys.executable, "-m", "scripts.model_peers", kind, "--model", str(model), *settings]
    paths = [str(REPOSITORY), *([str(extra_path)] if extra_path else [])]
    environment = {**inherited_environment(), "PYTHONPATH": os.pathsep.join(paths)}
    with (
        _room_for_words() as words,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
        ) as child,
    ):
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise PeerDidNotStartError(f"{kind}: {_tail(words)}")
            yield ModelPeer(json.loads(line)["url"], child.pid)
        finally:
            child.kill()


@contextlib.contextmanager
def _room_for_words() -> Iterator[int]:
    """A file without a name for what a child prints: a pipe that nobody reads would stop it."""
    descriptor = os.memfd_create("words of a peer")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tail(words: int) -> str:
    size = os.fstat(words).st_size
    return os.pread(words, _LAST_WORDS, max(0, size - _LAST_WORDS)).decode(errors="replace")


def llama_cpp(model: Path, parameters: Mapping[str, Parameter]) -> str:
    """Start llama.cpp's own server in this process; its URL. It serves in threads of its own."""
    import xllamacpp  # noqa: PLC0415  # a test dependency; two llama.cpp must not meet in one process

    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(model)
    for name, value in parameters.items():
        *way, last = name.split(".")
        owner: Any = wanted
        for step in way:
            owner = getattr(owner, step)
        getattr(owner, last)  # an unknown name must not pass silently
        setattr(owner, last, value)
    server = xllamacpp.Server(wanted)
    _kept.append(server)
    return str(server.listening_address)


def llama_cpp_python(model: Path, parameters: Mapping[str, Parameter]) -> str:
    """Start llama-cpp-python's server in a thread of this process; its URL."""
    import uvicorn  # noqa: PLC0415  # the other peer needs none of it
    from llama_cpp.server.app import create_app  # noqa: PLC0415  # needs packages beyond this environment
    from llama_cpp.server.settings import ModelSettings, ServerSettings  # noqa: PLC0415

    settings = ModelSettings(model=str(model), verbose=False, **dict(parameters))
    app = create_app(server_settings=ServerSettings(), model_settings=[settings])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return f"http://127.0.0.1:{port}"


_kept: list[object] = []
_STARTS = {"llama.cpp": llama_cpp, "llama-cpp-python": llama_cpp_python}


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve one model until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=_STARTS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", dest="parameters")
    wanted = parser.parse_args()
    pairs = (text.partition("=") for text in wanted.parameters)
    parameters = {name: json.loads(value) for name, _, value in pairs}
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    print(json.dumps({"url": _STARTS[wanted.kind](wanted.model, parameters)}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
