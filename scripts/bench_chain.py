"""A chat through the whole chain beside the bare library: tokens a second, and the way to the first token.

Whole chain: this process → tentaculo_link → switch → worker, streamed. Peer: `bench_worker`'s bare batched
loop, the same model, the same library, one process, no HTTP. They take turns in one run. The peer runs with
the chain's own thread settings and, beside it, with one thread a core, so that neither is flattered.

    python -m scripts.bench_chain [--models FOLDER] [--tokens N] [--runs N]        prints JSON
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.bench_worker import measure_peer, prompts
from scripts.measuring import median, model_files, running_fleet
from switch.threads import threads_for


@dataclass(frozen=True, slots=True)
class Stream:
    """One streamed answer: seconds to its first text, and tokens a second from there to its end."""

    first_sec: float
    tokens_per_sec: float


def stream(client: httpx.Client, model: str, tokens: int) -> Stream:
    """Ask once over the door and time what comes back."""
    body = {
        "model": model,
        "prompt": prompts(1)[0],
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = time.perf_counter()
    first, last, counted = 0.0, 0.0, 0
    with client.stream("POST", "/v1/completions", json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if "usage" in event:
                counted = event["usage"]["completion_tokens"]
            elif event["choices"] and event["choices"][0]["text"]:
                last = time.perf_counter()
                first = first or last
    return Stream(first - began, (counted - 1) / (last - first))


def cold_start(client: httpx.Client, model: str) -> float:
    """Seconds from a request to its first token, with switch asleep (the file in the page cache)."""
    client.post("/vx11/window/close", json={"target": "switch"}).raise_for_status()
    while _state(client, "switch") != "asleep":
        time.sleep(0.05)
    return stream(client, model, 8).first_sec


def _state(client: httpx.Client, service: str) -> str:
    listed = client.get("/vx11/status").json()["services"]
    return next(str(entry["state"]) for entry in listed if entry["name"] == service)


def measure(file: Path, tokens: int, runs: int) -> dict[str, object]:
    """One model: chain and peers in turn, then cold starts."""
    threads = threads_for(None, None)
    chain: list[Stream] = []
    same: list[float] = []
    full: list[float] = []
    with running_fleet([file]) as fleet, fleet.door() as client:
        model = client.get("/v1/models").json()["data"][0]["id"]
        stream(client, model, 8)
        for _ in range(runs):
            chain.append(stream(client, model, tokens))
            same.append(_peer(file, tokens, threads.decode))
            full.append(_peer(file, tokens, threads.prompt))
        cold = [cold_start(client, model) for _ in range(runs)]
    rate = median([run.tokens_per_sec for run in chain])
    return {
        "model": file.name,
        "tokens": tokens,
        "runs": runs,
        "chain_tokens_per_sec": rate,
        "peer_tokens_per_sec": {"same_threads": median(same), "one_thread_a_core": median(full)},
        "ratio_to_peer": {
            "same_threads": round(rate / median(same), 3),
            "one_thread_a_core": round(rate / median(full), 3),
        },
        "first_token_ms_warm": median([run.first_sec * 1000 for run in chain], 1),
        "first_token_ms_switch_asleep": median([second * 1000 for second in cold], 1),
    }


def _peer(file: Path, tokens: int, threads: int) -> float:
    found = measure_peer(file, streams=(1,), tokens=tokens, runs=1, threads=threads)
    return found[0].decode_tokens_per_second


def main() -> None:
    """Measure every model there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--runs", type=int, default=5)
    wanted = parser.parse_args()
    print(json.dumps([measure(file, wanted.tokens, wanted.runs) for file in model_files(wanted.models)], indent=2))


if __name__ == "__main__":
    main()
