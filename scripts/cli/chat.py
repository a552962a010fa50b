"""Asks a model one thing; the answer streams. Without words on the command line the question is read from input."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from scripts.cli.answer import print_answer
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("words", nargs="*", help="what to ask")
    parser.add_argument("--model", help="which model; the first that can chat, unless named")
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
        model = options.model or first_chat_model(door)
        speed = print_answer(door.chat(messages, model=model), context.terminal)
    context.remarks.say(context.remarks.dim(f"{model}: {speed}"))
    return 0


def first_chat_model(door: Door) -> str:
    """The smallest enabled model that can chat: the one that answers soonest."""
    able = [model for model in door.models() if model.enabled and model.task_type == "chat"]
    if not able:
        raise CommandFailed("There is no model here that can chat.", "See what can be had: ./vx11 models catalog")
    return min(able, key=lambda model: model.size_bytes).name
