"""Asks a model one thing; the answer streams. Without words on the command line the question is read from input."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from scripts.cli import first_light
from scripts.cli.answer import print_answer
from scripts.cli.context import Context
from scripts.cli.door import open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.picking import pick_model


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("words", nargs="*", help="what to ask")
    parser.add_argument(
        "--model", help="which model; unless named: the one of first light, else the smallest that can chat"
    )
    parser.add_argument("--max-tokens", type=int, default=1024, help="where the answer is cut off; 1024 unless given")
    parser.add_argument("--temperature", type=float, default=0.7, help="0: always the same answer; 0.7 unless given")
    parser.add_argument("--system", help="what the model is told before the question")


def run(options: Namespace, context: Context) -> int:
    """Ask, print the answer, and say how fast it came."""
    question = " ".join(options.words) or sys.stdin.read().strip()
    if not question:
        raise CommandFailed("There is nothing to ask.", 'Try: ./vx11 chat "Why is the sky blue?"')
    messages = [{"role": "user", "content": question}]
    if options.system:
        messages.insert(0, {"role": "system", "content": options.system})
    with open_door(context.settings) as door:
        model = options.model or pick_model(door, first_light.seen_model(first_light.marker_of(context.settings)))
        limits = {"max_tokens": options.max_tokens, "temperature": options.temperature}
        speed = print_answer(door.chat(messages, model=model, **limits), context.terminal)
    context.remarks.say(context.remarks.dim(f"{model}: {speed}"))
    return 0
