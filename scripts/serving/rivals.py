"""Eight streams: the chain beside llama-cpp-python's own server and llama.cpp's own server.

Both rivals run as they come, with only the model named; llama.cpp's once more with eight slots, which is what its user
would set. Answers are not streamed: llama-cpp-python's server breaks a stream off when the next request comes.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from scripts.bench_worker import prompts
from scripts.measuring import REPOSITORY, running_fleet
from scripts.model_peers import Kind, Parameter, PeerDidNotStartError, serving
from scripts.serving.asking import Client, middle, ratio
from scripts.serving.case import Wish, models_of

STREAMS = 8
RIVALS: dict[str, tuple[Kind, dict[str, Parameter]]] = {
    "llama_cpp_python_server": ("llama-cpp-python", {}),
    "llama_cpp_server": ("llama.cpp", {}),
    "llama_cpp_server_8_slots": ("llama.cpp", {"n_parallel": STREAMS}),
}
# What `llama_cpp.server` imports beyond our own environment; fetched once, into a folder that only it sees.
_PACKAGES = ("sse-starlette==3.7.0", "starlette-context==0.5.1")
_FETCH_SEC = 90


def packages() -> Path:
    """The folder with what llama-cpp-python's server needs, fetched if it is not there."""
    folder = REPOSITORY / "build" / "bench-packages"
    if not (folder / "starlette_context").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        command = [*pip, "--no-deps", "--only-binary=:all:", "--target", str(folder), *_PACKAGES]
        subprocess.run(command, check=True, timeout=_FETCH_SEC, stdout=sys.stderr)
    return folder


async def measure(wish: Wish) -> dict[str, Any]:
    """All of them in turns; tokens a second over eight answers, prompts included, and the ratios."""
    found: dict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        urls, missing = _started(stack, wish.smallest)
        clients = {name: await stack.enter_async_context(Client(url)) for name, url in urls.items()}
        for run in range(wish.runs + 1):
            for name, client in clients.items():
                rate = await _rate(client, wish.tokens, first=1 + run * STREAMS)
                if run > 0:  # the first one warms up
                    found[name].append(rate)
    return {
        "model": wish.smallest.name,
        "streams": STREAMS,
        "tokens": wish.tokens,
        "runs": wish.runs,
        "tokens_per_sec": {name: middle(rates) for name, rates in found.items()},
        "chain_over": {name: ratio(found["chain"], rates) for name, rates in found.items() if name != "chain"},
        "not_measured": missing,
    }


def _started(stack: AsyncExitStack, model: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The URLs of all that could be started, and why the others could not."""
    fleet = stack.enter_context(running_fleet([model], VX11_SWITCH_PARALLEL=str(STREAMS)))
    urls, missing = {"chain": fleet.url}, {}
    for name, (kind, parameters) in RIVALS.items():
        try:
            extra = packages() if kind == "llama-cpp-python" else None
            rival = serving(kind, model.resolve(), parameters, extra_path=extra)
            urls[name] = stack.enter_context(rival).url
        except (PeerDidNotStartError, subprocess.SubprocessError) as error:
            missing[name] = str(error)[-300:]
    return urls, missing


async def _rate(client: Client, tokens: int, *, first: int) -> float:
    """Tokens a second of eight answers asked for at once."""
    [model] = await models_of(client)
    began = time.perf_counter()
    bodies = [
        {"model": model, "prompt": text, "max_tokens": tokens, "temperature": 0} for text in prompts(STREAMS, first)
    ]
    answers = await asyncio.gather(*(client.post("/v1/completions", body) for body in bodies))
    return float(sum(answer["usage"]["completion_tokens"] for answer in answers) / (time.perf_counter() - began))
