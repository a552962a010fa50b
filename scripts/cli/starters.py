"""The starter models for tests and benches: pulled once into the models folder, by a fleet that ends afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from config.contracts.models import CatalogueModel
from hermes.catalogue import load_catalogue
from scripts.cli.context import Context
from scripts.cli.door import Door
from scripts.hermes_download_test_models import pull_starters
from scripts.measuring import running_fleet


def ensure(context: Context) -> None:
    """Have the starters in the models folder; CommandFailed, in hermes' words, where they cannot be had."""
    folder = context.settings.models_path.absolute()
    if not missing(folder, load_catalogue().entries.values()):
        return
    context.remarks.headline("Models for the tests")
    with running_fleet(VX11_MODELS_PATH=str(folder)) as fleet, fleet.door() as client:
        pull_starters(Door(client), context.remarks)


def missing(folder: Path, entries: Iterable[CatalogueModel]) -> list[str]:
    """The starters among `entries` of which `folder` holds no file of the right size, whatever it is called."""
    sizes = {file.stat().st_size for file in folder.glob("*.gguf")}
    return [entry.name for entry in entries if entry.starter and entry.size_bytes not in sizes]
