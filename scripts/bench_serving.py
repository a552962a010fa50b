"""Prompts through the whole chain beside the bare library and other people's servers, in good weather and in bad.

Each case is one promise of the serving layer, measured beside its peer in the same run; medians of `--runs`.

    python -m scripts.bench_serving [--only CASE …] [--models FOLDER] [--runs N] [--tokens N]        prints JSON
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from scripts.measuring import model_files
from scripts.serving import crowd, leaving, memory_of_prompts, neighbour, rivals, streams, swap
from scripts.serving.case import Wish

CASES: dict[str, Callable[[Wish], Awaitable[dict[str, Any]]]] = {
    "streams": streams.measure,
    "rivals": rivals.measure,
    "memory_of_prompts": memory_of_prompts.measure,
    "leaving": leaving.measure,
    "swap": swap.measure,
    "neighbour": neighbour.measure,
    "crowd": crowd.measure,
}


def main() -> None:
    """Measure what was asked for, one case after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=48, help="of each answer whose speed is measured")
    wanted = parser.parse_args()
    wish = Wish(tuple(model_files(wanted.models)), wanted.runs, wanted.tokens)
    found: dict[str, Any] = {}
    for name in wanted.only:
        print(f"{name} …", file=sys.stderr)
        began = time.monotonic()
        found[name] = {**asyncio.run(_measured(name, wish)), "seconds": round(time.monotonic() - began)}
    print(json.dumps(found, indent=2))


async def _measured(name: str, wish: Wish) -> dict[str, Any]:
    return await CASES[name](wish)


if __name__ == "__main__":
    main()
