"""A real worker with a real model: what it says, that it is repeatable, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from switch.worker.spec import WorkerSpec
from tests.support.eventually import eventually
from tests.support.worker import (
    ROOT,
    WorkerClient,
    WorkerProcess,
    client_of,
    model_file,
    said_text,
    streamed_text,
)

N_CTX = 1024
QUESTION = "Write one sentence about the sea."


def spec_for(model: Path, folder: Path) -> WorkerSpec:
    return WorkerSpec(
        model_path=str(model), model_name="m", socket_path=str(folder / "w.sock"), n_ctx=N_CTX, n_seq_max=4, n_batch=256
    )


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    one = WorkerProcess(spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path_factory.mktemp("worker")))
    try:
        assert one.wait_until_told().get("event") == "ready", one.said
        yield one
    finally:
        one.end()


@pytest.fixture
async def worker(process: WorkerProcess) -> AsyncIterator[WorkerClient]:
    async with client_of(process.spec) as client:
        yield client


def test_it_tells_what_it_loaded(process: WorkerProcess) -> None:
    ready = process.said[-1]
    assert [event["event"] for event in process.said[:-1]] == ["loading"] * (len(process.said) - 1)
    assert ready["chat_template"] is True
    assert (ready["n_ctx"], ready["n_ctx_train"], ready["n_vocab"]) == (N_CTX, 8192, 49152)
    assert ready["canary"]["text"].startswith(" dog")
    assert ready["memory"]["pss_bytes"] > ready["memory"]["anonymous_bytes"] > 0


async def test_a_greedy_chat_is_the_same_each_time_streamed_or_not(worker: WorkerClient) -> None:
    first = await worker.chat(QUESTION, max_tokens=24)
    second = await worker.chat(QUESTION, max_tokens=24)
    messages = [{"role": "user", "content": QUESTION}]
    streamed = await worker.stream("/v1/chat/completions", messages=messages, temperature=0, max_tokens=24)
    assert said_text(first) == said_text(second) == streamed_text(streamed)
    assert "sea" in said_text(first)


async def test_four_at_once_say_what_each_says_alone(worker: WorkerClient) -> None:
    """Prompts with one plain continuation, so that a mix-up shows and rounding does not.

    A sequence's numbers do not depend on its neighbours' tokens, but llama.cpp takes another attention kernel for 64
    rows and more than for fewer, so a prompt evaluated beside others may round otherwise (0.8 in a logit, measured, on
    this small model) and a near tie fall the other way.
    """
    prompts = ["1, 2, 3, 4, 5, 6, 7,", "A, B, C, D, E, F, G,", "a b c d e f g", "10 20 30 40 50 60"]

    async def answer(prompt: str) -> str:
        return said_text((await worker.post("/v1/completions", prompt=prompt, max_tokens=8, temperature=0))[1])

    alone = [await answer(prompt) for prompt in prompts]
    together = await asyncio.gather(*(answer(prompt) for prompt in prompts))
    assert together == alone
    assert [text.strip()[:2] for text in alone] == ["8,", "H,", "h ", "70"]


async def test_a_seed_repeats_a_draw_and_another_does_not(worker: WorkerClient) -> None:
    async def draw(seed: int) -> str:
        return said_text(await worker.chat(QUESTION, max_tokens=24, temperature=1.5, seed=seed))

    assert await draw(7) == await draw(7)
    assert len({await draw(seed) for seed in (1, 2, 3)}) > 1


async def test_a_stop_string_ends_the_answer_before_it(worker: WorkerClient) -> None:
    full = said_text(await worker.chat(QUESTION, max_tokens=24))
    stop = full[len(full) // 2 : len(full) // 2 + 6]
    body = await worker.chat(QUESTION, max_tokens=24, stop=[stop])
    assert said_text(body) == full[: full.index(stop)]
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_emoji_and_accents_arrive_whole(worker: WorkerClient) -> None:
    prompt = "😀 🎉 ñandú ça\n😀 🎉 ñandú ça\n😀 🎉 ñandú ça\n😀 🎉"
    members = {"prompt": prompt, "temperature": 0, "max_tokens": 24}
    events = await worker.stream("/v1/completions", **members)
    _, whole = await worker.post("/v1/completions", **members)
    text = said_text(whole)
    assert streamed_text(events) == text
    assert "ñandú" in text
    assert "😀" in text
    assert "\ufffd" not in text


async def test_strange_text_is_taken_as_it_is(worker: WorkerClient) -> None:
    for prompt in ("\x00\x00", "a" * 300, "\u202e\u0301", "<|im_end|>", "{{ 7 * 7 }}"):
        status, body = await worker.post("/v1/completions", prompt=prompt, max_tokens=2, temperature=0)
        assert (status, body["usage"]["completion_tokens"] > 0) == (200, True)


async def test_usage_counts_tokens(worker: WorkerClient) -> None:
    tokens = [504, 2365, 6354, 16438]
    body = (await worker.post("/v1/completions", prompt=tokens, max_tokens=5, temperature=0))[1]
    counts = {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    assert body["usage"] == {**counts, "prompt_tokens_details": {"cached_tokens": 0}}
    assert body["choices"][0]["finish_reason"] == "length"


async def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(worker: WorkerClient) -> None:
    status, problem = await worker.post("/v1/completions", prompt="word " * 3000)
    assert (status, problem["code"]) == (400, "context_overflow")
    assert problem["prompt_tokens"] > problem["context_tokens"] == N_CTX


async def test_an_answer_goes_to_the_end_of_the_context_and_no_further(worker: WorkerClient) -> None:
    body = (await worker.post("/v1/completions", prompt=[504] * (N_CTX - 3), temperature=0))[1]
    assert body["usage"]["total_tokens"] <= N_CTX


async def test_penalties_change_the_answer(worker: WorkerClient) -> None:
    prompt = "la la la la la la la la"
    plain = await worker.post("/v1/completions", prompt=prompt, temperature=0, max_tokens=12)
    penalised = await worker.post("/v1/completions", prompt=prompt, temperature=0, max_tokens=12, repeat_penalty=1.8)
    assert said_text(plain[1]) != said_text(penalised[1])


async def test_a_client_that_leaves_inside_a_prefill_frees_the_worker(
    worker: WorkerClient, process: WorkerProcess
) -> None:
    before = await worker.health()
    async with client_of(process.spec) as leaver:
        call = asyncio.create_task(leaver.post("/v1/completions", prompt=[504] * (N_CTX - 2), max_tokens=1))
        await eventually(worker.health, lambda seen: seen["in_flight"] == 1)
        call.cancel()
        after = await eventually(worker.health, lambda seen: seen["in_flight"] == 0)
    assert after["cancelled"] == before["cancelled"] + 1
    assert after["prompt_tokens"] < before["prompt_tokens"] + N_CTX - 2, "the prefill ran to its end"
    assert "sea" in said_text(await worker.chat(QUESTION, max_tokens=24))


async def test_others_hardly_notice_who_leaves(worker: WorkerClient, process: WorkerProcess) -> None:
    alone = said_text(await worker.chat(QUESTION, max_tokens=24))
    staying = asyncio.create_task(worker.chat(QUESTION, max_tokens=24))
    async with client_of(process.spec) as leaver:
        call = asyncio.create_task(leaver.post("/v1/completions", prompt=[504] * 700, max_tokens=1))
        await eventually(worker.health, lambda seen: seen["in_flight"] == 2)
        call.cancel()
        assert said_text(await staying) == alone


async def test_a_model_without_a_template_completes_but_does_not_chat(tmp_path: Path) -> None:
    one = WorkerProcess(spec_for(model_file("gemma-3-270m*.gguf"), tmp_path))
    try:
        assert one.wait_until_told()["chat_template"] is False
        async with client_of(one.spec) as client:
            messages = [{"role": "user", "content": QUESTION}]
            status, problem = await client.post("/v1/chat/completions", messages=messages)
            assert (status, problem["code"]) == (400, "bad_request")
            text = await client.post("/v1/completions", prompt="1, 2, 3, 4, 5,", max_tokens=4, temperature=0)
            assert said_text(text[1]).startswith(" 6, ")
    finally:
        one.end()


async def test_killed_in_mid_stream_the_client_is_left_with_an_ended_stream(tmp_path: Path) -> None:
    one = WorkerProcess(spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path))
    try:
        one.wait_until_told()
        async with client_of(one.spec) as client:
            members = {"model": "m", "prompt": "Once upon a time", "max_tokens": 900, "temperature": 0, "stream": True}
            async with client.session.post("/v1/completions", json=members) as answer:
                assert await answer.content.readuntil(b"\n\n")
                one.process.kill()
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.content.read()
    finally:
        one.end()


async def test_stdin_closing_ends_a_worker_that_is_serving(tmp_path: Path) -> None:
    one = WorkerProcess(spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path))
    try:
        one.wait_until_told()
        async with client_of(one.spec) as client:
            members = {"model": "m", "prompt": "Once upon a time", "max_tokens": 900, "temperature": 0, "stream": True}
            async with client.session.post("/v1/completions", json=members) as answer:
                assert await answer.content.readuntil(b"\n\n")
                code = await asyncio.to_thread(one.let_go)
                rest = await answer.content.read()
        assert code == 0
        assert b'"error"' in rest
        assert b"[DONE]" not in rest
        assert not Path(one.spec.socket_path).exists()
    finally:
        one.end()


def test_stdin_closing_ends_a_worker_that_is_loading(tmp_path: Path) -> None:
    one = WorkerProcess(spec_for(model_file("gemma-3-270m*.gguf"), tmp_path))
    try:
        assert one.let_go() == 0
    finally:
        one.end()


async def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    spec = spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path)
    # The parent gives the worker a stdin that stays open in this test: only the parent's death can end it.
    reading, writing = os.pipe()
    os.write(writing, spec.line().encode())
    source = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'switch.worker'], stdin={reading}, stdout=subprocess.PIPE)\n"
        "while b'ready' not in child.stdout.readline(): pass\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, pass_fds=[reading], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert parent.stdout is not None
        worker_pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert Path(f"/proc/{worker_pid}").exists()
        parent.kill()

        async def look() -> bool:
            return _is_alive(worker_pid)

        await eventually(look, lambda alive: not alive)
    finally:
        parent.kill()
        parent.communicate()
        os.close(reading)
        os.close(writing)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("truncated", "load_failed"),
        ("header_only", "load_failed"),
        ("empty", "not_gguf"),
        ("text", "not_gguf"),
        ("absent", "not_found"),
    ],
)
def test_a_bad_file_is_said_and_the_process_ends(tmp_path: Path, name: str, code: str) -> None:
    good = model_file("SmolLM2-135M*.gguf").read_bytes()
    bad = {"truncated": good[: len(good) // 2], "header_only": good[:64], "empty": b"", "text": b"not a model"}
    file = tmp_path / "bad.gguf"
    if name in bad:
        file.write_bytes(bad[name])
    one = WorkerProcess(spec_for(file, tmp_path))
    try:
        told = one.wait_until_told()
        assert (told["event"], told["code"]) == ("failed", code)
        assert told["detail"]
        assert one.process.wait(30) == 1
    finally:
        one.end()


@pytest.mark.parametrize("line", ["nonsense\n", "{}\n", "\n"])
def test_a_bad_spec_is_said(tmp_path: Path, line: str) -> None:
    one = WorkerProcess(spec_for(tmp_path, tmp_path), line=line)
    try:
        assert one.wait_until_told()["code"] == "bad_spec"
        assert one.process.wait(30) == 1
    finally:
        one.end()


def test_a_signal_ends_it_too(tmp_path: Path) -> None:
    one = WorkerProcess(spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path))
    try:
        assert one.wait_until_told()["event"] == "ready"
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(30) in (0, -signal.SIGTERM)
    finally:
        one.end()
