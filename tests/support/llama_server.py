"""llama.cpp's own server, from the `xllamacpp` wheel: somebody else's OpenAI endpoint, real, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from scripts.model_peers import Parameter, serving

# One thread, so that it does not spin on every core of the machine the tests share; no answers out of a cache.
GENTLE: dict[str, Parameter] = {
    "cpuparams.n_threads": 1,
    "n_ctx": 2048,
    "warmup": False,
    "cache_ram_mib": 0,
    "cache_prompt": False,
}


class LlamaServer:
    """A running server. `url` ends before `/v1`; the process leaves with the block it was made for."""

    def __init__(self, url: str, pid: int, http: httpx.AsyncClient) -> None:
        self.url = url
        self.pid = pid
        self.http = http

    async def post(self, path: str, **members: Any) -> httpx.Response:
        """A POST with a JSON body."""
        return await self.http.post(path, json=members)


@asynccontextmanager
async def llama_server(model: Path, **parameters: Parameter) -> AsyncIterator[LlamaServer]:
    """The server with `model`; `parameters` are names of `CommonParams` (two underscores for a dot)."""
    wanted = {**GENTLE, **{name.replace("__", "."): value for name, value in parameters.items()}}
    with ExitStack() as stack:
        peer = await asyncio.to_thread(stack.enter_context, serving("llama.cpp", model, wanted))
        async with httpx.AsyncClient(base_url=peer.url, timeout=100) as http:
            yield LlamaServer(peer.url, peer.pid, http)
