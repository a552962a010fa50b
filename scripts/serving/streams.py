"""The whole chain (door → switch → worker) beside the bare batched loop, at 1, 4 and 8 streams.

The loop runs with our thread settings, and with others: `best` is what this machine can do with whichever of them is
fastest, spinning threads included, so that a bad choice of ours shows.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from config.settings import inherited_environment
from scripts.bench_worker import Figures, measure_peer, prompts
from scripts.measuring import running_fleet
from scripts.serving.asking import Client, Together, middle, ratio
from scripts.serving.case import Wish, models_of
from switch.threads import threads_for
from switch.worker.spec import worker_environment

COUNTS = (1, 4, 8)


def _settings() -> dict[str, dict[str, Any]]:
    """Ways to run the loop, as `measure_peer` takes them."""
    ours = threads_for(None, None)
    sleeping, spinning = worker_environment(inherited_environment()), inherited_environment()
    cores = ours.prompt
    return {
        "ours": {"threads": ours.decode, "threads_batch": ours.prompt, "environment": sleeping},
        "every_core_sleeping": {"threads": cores, "threads_batch": cores, "environment": sleeping},
        "every_core_spinning": {"threads": cores, "threads_batch": cores, "environment": spinning},
    }


async def measure(wish: Wish) -> dict[str, Any]:
    """Chain and loops in turns, `wish.runs` times; the medians, and their ratios."""
    chain: dict[int, list[Together]] = {count: [] for count in COUNTS}
    loops: dict[str, dict[int, list[Figures]]] = {name: defaultdict(list) for name in _settings()}
    with running_fleet([wish.smallest], VX11_SWITCH_PARALLEL=str(max(COUNTS))) as fleet:
        async with Client(fleet.url) as client:
            [model] = await models_of(client)
            await client.stream({"model": model, "prompt": "Warm up.", "max_tokens": 8})
            number = 1
            for _ in range(wish.runs):
                for count in COUNTS:
                    texts = prompts(count, number)  # never the same twice, so that no memory of prompts can help
                    number += count
                    bodies = [{"model": model, "prompt": text, "max_tokens": wish.tokens} for text in texts]
                    chain[count].append(await client.together(bodies))
                for name, settings in _settings().items():
                    for figures in measure_peer(wish.smallest, streams=COUNTS, tokens=wish.tokens, runs=1, **settings):
                        loops[name][figures.streams].append(figures)
    return {
        "model": wish.smallest.name,
        "tokens": wish.tokens,
        "runs": wish.runs,
        "streams": {
            count: _beside(chain[count], {name: found[count] for name, found in loops.items()}) for count in COUNTS
        },
    }


def _beside(chain: list[Together], loops: dict[str, list[Figures]]) -> dict[str, Any]:
    decode = {name: [one.decode_tokens_per_second for one in found] for name, found in loops.items()}
    whole = {name: [one.total_tokens_per_second for one in found] for name, found in loops.items()}
    first = {name: [one.first_token_ms_last for one in found] for name, found in loops.items()}
    best = max(decode, key=lambda name: middle(decode[name], 3))
    our_decode = [run.decode_tokens_per_sec for run in chain]
    our_whole = [run.whole_tokens_per_sec for run in chain]
    our_first = [run.first_of_all_ms for run in chain]
    return {
        "chain": {
            "decode_tokens_per_sec": middle(our_decode),
            "whole_tokens_per_sec": middle(our_whole),
            "first_token_of_all_ms": middle(our_first),
            "tokens": sum(stream.tokens for stream in chain[-1].streams),
        },
        "loop": {
            name: {
                "decode_tokens_per_sec": middle(decode[name]),
                "whole_tokens_per_sec": middle(whole[name]),
                "first_token_of_all_ms": middle(first[name]),
            }
            for name in loops
        },
        "best_loop": best,
        "ratio_decode": {"ours": ratio(our_decode, decode["ours"]), "best": ratio(our_decode, decode[best])},
        "ratio_whole": {"ours": ratio(our_whole, whole["ours"]), "best": ratio(our_whole, whole[best])},
        "ratio_first_token": {"ours": ratio(our_first, first["ours"]), "best": ratio(our_first, first[best])},
    }
