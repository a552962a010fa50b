"""The embeddings call: from inputs to an errand of the engine's, and back to OpenAI's body."""

from __future__ import annotations

import asyncio
import base64
import json
from array import array
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from config.errors import Invalid, VX11Error
from switch.openai.embedding import EmbeddingRequest
from switch.worker.embedding import Embedder, EmbeddingErrand, Vector
from switch.worker.engine import Engine
from switch.worker.outlet import GoneError

_DIGITS = 9  # of a float with 24 bits of precision


@asynccontextmanager
async def computed(
    engine: Engine[Any], embedder: Embedder, inputs: Sequence[Sequence[int]], gone: Coroutine[Any, Any, None]
) -> AsyncIterator[Awaitable[list[Vector]]]:
    """Inside, the vectors are on their way; whoever leaves gives them up. `gone` returns when the client has left."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[list[Vector]] = loop.create_future()

    def settle(result: list[Vector] | VX11Error | GoneError) -> None:
        if made.done():
            return
        if isinstance(result, Exception):
            made.set_exception(result)
        else:
            made.set_result(result)

    errand = EmbeddingErrand(embedder, inputs, lambda result: loop.call_soon_threadsafe(settle, result))
    watch = asyncio.create_task(gone)
    watch.add_done_callback(lambda _task: settle(GoneError()))
    try:
        engine.run_errand(errand)
        yield made
    finally:
        errand.cancelled = True
        watch.cancel()
        made.cancel()


def body(request: EmbeddingRequest, model: str, inputs: Sequence[Sequence[int]], vectors: Sequence[Vector]) -> bytes:
    """OpenAI's list of embeddings; raises Invalid where the caller counts on another size."""
    size, tokens = len(vectors[0]), sum(map(len, inputs))
    if request.dimensions not in (None, size):
        said = f"must be {size}, which is what this model has"
        raise Invalid(f"dimensions {said}.", errors=[{"field": "dimensions", "message": said}])
    data = [
        {"object": "embedding", "index": place, "embedding": _written(vector, as_base64=request.base64)}
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json.dumps({"object": "list", "data": data, "model": model, "usage": usage}).encode()


def _written(vector: Vector, *, as_base64: bool) -> str | list[float]:
    """32-bit floats, the least significant byte first, or decimal numbers."""
    if not as_base64:
        return [round(value, _DIGITS) for value in vector]
    floats = array("f", vector)
    return base64.b64encode(floats.tobytes()).decode()
