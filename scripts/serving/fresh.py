"""A bare fresh process that loads a model and answers: the peer of a swap.

python -m scripts.serving.fresh MODEL --threads N --threads-batch N --context N --prompt TEXT      prints one token
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.bench_worker import Bare


def main() -> None:
    """Load, read the prompt, say the first token, leave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--threads-batch", type=int, default=2)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--prompt", default="The sea is")
    wanted = parser.parse_args()
    bare = Bare(wanted.model, n_ctx=wanted.context, n_seq=1, threads=wanted.threads, threads_batch=wanted.threads_batch)
    print(bare.answer(wanted.prompt, 1)[0], flush=True)


if __name__ == "__main__":
    main()
