"""The models hermes knows how to get: `catalogue.json`, read once and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from config.contracts.models import CatalogueModel
from config.errors import UnknownModel
from hermes.sources import parse_source

OVER_2GB: Final = 2_000_000_000
_FILE = Path(__file__).with_name("catalogue.json")


class Catalogue:
    """Entries by name, in the order of the file."""

    def __init__(self, entries: list[CatalogueModel]) -> None:
        self.entries: Mapping[str, CatalogueModel] = MappingProxyType({entry.name: entry for entry in entries})
        self._by_sha256 = {entry.sha256: entry for entry in entries if entry.sha256}
        self._by_source = {str(parse_source(entry.source)): entry for entry in entries}
        if len(self.entries) != len(entries):
            raise ValueError("the catalogue holds a name twice")

    def named(self, name: str) -> CatalogueModel:
        """The entry called `name`; UnknownModel for any other word."""
        try:
            return self.entries[name]
        except KeyError:
            raise UnknownModel(
                f"The catalogue has no model called {name!r}.",
                hint="GET /hermes/catalog lists them; or give a `source`.",
            ) from None

    def of_file(self, sha256: str) -> CatalogueModel | None:
        """The entry whose file has this hash, so that a file found on disk gets its proper name."""
        return self._by_sha256.get(sha256)

    def of_source(self, source: str) -> CatalogueModel | None:
        """The entry that is fetched from this source, written as `str(parse_source(…))` writes it."""
        return self._by_source.get(source)


@cache
def load_catalogue(path: Path = _FILE) -> Catalogue:
    """The catalogue in `path`; ValueError where it is not as it should be, sources included."""
    return Catalogue([_entry(raw) for raw in json.loads(path.read_text(encoding="utf-8"))["models"]])


def _entry(raw: dict[str, Any]) -> CatalogueModel:
    large = (raw["size_bytes"] or 0) > OVER_2GB
    return CatalogueModel.model_validate({"over_2gb": large, **raw})
