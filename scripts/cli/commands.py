"""The table of commands; everything that lists them reads it here."""

from __future__ import annotations

import importlib
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, cast

from scripts.cli.context import Context


class CommandModule(Protocol):
    """What the module of a command offers."""

    def arguments(self, parser: ArgumentParser, /) -> None:
        """Declare what the command takes."""

    def run(self, options: Namespace, context: Context, /) -> int:
        """Do it; the exit code."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name, what it is for in a line, and whether it can run before set-up."""

    name: str
    summary: str
    before_setup: bool = False

    def load(self) -> CommandModule:
        """The module that carries the command out; imported only when it is asked for."""
        return cast(CommandModule, importlib.import_module(f"scripts.cli.{self.name}"))


_TABLE = (
    Command("up", "set up what is missing, start the fleet, show first light; Ctrl-C stops it"),
    Command("down", "stop a fleet that was started with `up -d`"),
    Command("status", "what is running: services, memory, windows"),
    Command("chat", "ask a model, the answer streams"),
    Command("intent", "say what is wanted: an order becomes a plan, anything else a model answers"),
    Command("plans", "what waits for a confirmation, what runs, what came of it; confirm or cancel one"),
    Command("autonomy", "what madre did by herself, or in shadow would have done, and why; turn that on and off"),
    Command("models", "list, pull, load, unload and remove models"),
    Command("warmup", "load each enabled model and have it answer once; the exit code says whether all is well"),
    Command("e2e", "play five phases through the running fleet, and leave evidence"),
    Command("ready", "say whether this fleet is fit for production; the exit code and a report"),
    Command("power", "open, close, hold and extend windows; read and apply policies"),
    Command("jobs", "run a task in isolation, list, show, follow and kill such tasks"),
    Command("token", "print the admin token"),
    Command("doctor", "explain what is wrong with this machine, in words to act on", before_setup=True),
    Command("test", "run the tests: all rings, or those named"),
    Command("bench", "measure beside a peer, ratios as JSON"),
)
COMMANDS = MappingProxyType({command.name: command for command in _TABLE})
