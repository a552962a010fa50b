"""The same chats through containers and through processes of the host, one stream at a time, in turns.

While the host is measured, the containers stand still; while they are, the host's fleet idles, and what the engine's
probes cost is on their side.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from scripts.bench_worker import prompts
from scripts.composed.project import Project
from scripts.measuring import running_fleet
from scripts.serving.asking import Client, Together, middle, ratio
from scripts.serving.case import models_of

_SETTLE_SEC = 3.0  # what stood still catches up first: probes that came due, madre's looks


def measure(project: Project, model: Path, runs: int, tokens: int) -> dict[str, Any]:
    """Tokens a second both ways, and the ratio of the medians; `project` has the model on its volume."""
    ours: list[Together] = []
    host: list[Together] = []
    with running_fleet([model]) as fleet:
        _warm(project.url("tentaculo_link"))
        _warm(fleet.url)
        for run in range(runs):
            ours.append(asyncio.run(_answered(project.url("tentaculo_link"), run, tokens)))
            with project.paused():
                host.append(asyncio.run(_answered(fleet.url, run, tokens)))
            project.until_ready("tentaculo_link", "switch")
            time.sleep(_SETTLE_SEC)
    decode = [[one.decode_tokens_per_sec for one in side] for side in (ours, host)]
    whole = [[one.whole_tokens_per_sec for one in side] for side in (ours, host)]
    return {
        "model": model.name,
        "tokens": tokens,
        "containers": {"decode_tokens_per_sec": middle(decode[0]), "whole_tokens_per_sec": middle(whole[0])},
        "host": {"decode_tokens_per_sec": middle(decode[1]), "whole_tokens_per_sec": middle(whole[1])},
        "ratio_decode": ratio(*decode),
        "ratio_whole": ratio(*whole),
    }


def _warm(url: str) -> None:
    asyncio.run(_answered(url, -1, 8))


async def _answered(url: str, run: int, tokens: int) -> Together:
    """One answer to a prompt of its own, so that no memory of prompts can help."""
    async with Client(url) as client:
        [model] = await models_of(client)
        [text] = prompts(1, run + 2)
        return await client.together([{"model": model, "prompt": text, "max_tokens": tokens}])
