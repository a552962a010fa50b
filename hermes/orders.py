"""What somebody wants pulled, made definite: a name, a source, and what is known of the file beforehand."""

from __future__ import annotations

from dataclasses import dataclass

from config.contracts.models import CatalogueModel, ModelPull
from hermes.catalogue import Catalogue
from hermes.http_ranges import Origin
from hermes.sources import Source, default_name, parse_source


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of a file before it is here; None: nobody said. A download may be smaller than the file.

    `seen` is what its server said of it when it was looked at.
    """

    sha256: str | None = None
    size_bytes: int | None = None
    download_bytes: int | None = None
    seen: Origin | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One pull. `entry` is the catalogue's, where the source is one of the catalogue's.

    `force`: bring it although it could never be loaded here. `resolved`: the very file that `source` was found to mean.
    """

    name: str
    source: Source
    revision: str | None
    expected: Expectation
    entry: CatalogueModel | None
    force: bool = False
    resolved: str | None = None

    @property
    def tags(self) -> list[str]:
        """The tags its registry row begins with."""
        return list(self.entry.tags) if self.entry else []


def order_for(pull: ModelPull, catalogue: Catalogue) -> Order:
    """The order a request stands for; UnknownModel or Invalid where it makes no sense.

    A hash given by the caller outranks the catalogue's: whoever names one wants that file and no other.
    """
    text = pull.source or catalogue.named(str(pull.name)).source
    return order_of(pull.name, text, pull.revision, pull.sha256, catalogue, force=pull.force)


def order_of(
    name: str | None,
    source: str,
    revision: str | None,
    sha256: str | None,
    catalogue: Catalogue,
    *,
    force: bool = False,
) -> Order:
    """The order for a source text, as asked for or as stored with a job."""
    parsed = parse_source(source, revision)
    entry = catalogue.of_source(str(parsed))
    known = Expectation(entry.sha256, entry.size_bytes, entry.download_bytes) if entry else Expectation()
    if sha256 is not None and sha256.lower() != known.sha256:
        known = Expectation(sha256=sha256.lower())
    return Order(
        name=name or (entry.name if entry else default_name(parsed)),
        source=parsed,
        revision=revision,
        expected=known,
        entry=entry,
        force=force,
    )
