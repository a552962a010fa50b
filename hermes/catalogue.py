"""The models hermes knows how to get: `catalogue.json`, read once and checked, and entries of the user's own.

A file of one's own has the same form; of an entry only `name` and `source` must be there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from config.contracts.models import CatalogueModel
from config.errors import UnknownModel, VX11Error
from hermes.sources import parse_source

OVER_2GB: Final = 2_000_000_000
MAX_ENTRIES: Final = 1000
_UNSAID: Final[Mapping[str, Any]] = {
    "summary": "",
    "task_type": "chat",
    "sha256": None,
    "size_bytes": None,
    "download_bytes": None,
    "max_context": None,
    "parameters": "unknown",
    "quantisation": "unknown",
    "licence": "unknown",
    "licence_url": "",
    "tags": [],
    "starter": False,
}
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

    def with_own(self, own: Catalogue) -> Catalogue:
        """This catalogue and another's entries; of two with one name the other's counts."""
        return Catalogue([*{**self.entries, **own.entries}.values()])

    def of_file(self, sha256: str) -> CatalogueModel | None:
        """The entry whose file has this hash, so that a file found on disk gets its proper name."""
        return self._by_sha256.get(sha256)

    def of_source(self, source: str) -> CatalogueModel | None:
        """The entry that is fetched from this source, written as `str(parse_source(…))` writes it."""
        return self._by_source.get(source)


@cache
def load_catalogue(path: Path = _FILE) -> Catalogue:
    """The catalogue in `path`; ValueError where it is not as it should be, sources included."""
    return parse_catalogue(path.read_text(encoding="utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """The catalogue that a file's text holds; ValueError, saying what is wrong."""
    content = json.loads(text)
    entries = content.get("models") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('the file must be an object with a list of objects under "models"')
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"the file lists {len(entries)} models; at most {MAX_ENTRIES} are read")
    try:
        return Catalogue([_entry(raw) for raw in entries])
    except VX11Error as error:
        raise ValueError(error.detail) from error


def _entry(raw: dict[str, Any]) -> CatalogueModel:
    size = raw.get("size_bytes")
    large = isinstance(size, int) and size > OVER_2GB
    name = raw.get("name")
    return CatalogueModel.model_validate({**_UNSAID, "title": name, "over_2gb": large, **raw})
