"""The number of threads changes how fast an answer comes, not what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from switch.worker.spec import WorkerSpec
from tests.support.worker import WorkerProcess, client_of, model_file, said_text

PROMPT = "Write down, one after the other, what a lighthouse keeper does from morning to night. " * 12


async def said_with(threads: int, model: Path, folder: Path) -> str:
    """What a fresh worker that may use this many threads says, greedily."""
    spec = WorkerSpec(
        model_path=str(model),
        model_name="m",
        socket_path=str(folder / f"{threads}.sock"),
        n_ctx=512,
        n_threads=threads,
        n_threads_batch=threads,
    )
    process = WorkerProcess(spec)
    try:
        assert process.wait_until_told().get("event") == "ready", process.said
        async with client_of(spec) as worker:
            status, body = await worker.post("/v1/completions", prompt=PROMPT, max_tokens=96, temperature=0)
    finally:
        process.end()
    assert status == 200, body
    return said_text(body)


@pytest.mark.parametrize("pattern", ["SmolLM2-135M*.gguf", "gemma-3-270m*.gguf"])
async def test_answers_do_not_depend_on_the_number_of_threads(pattern: str, tmp_path: Path) -> None:
    one = await said_with(1, model_file(pattern), tmp_path)
    assert one
    assert one == await said_with(2, model_file(pattern), tmp_path)
