"""Where evidence and reports go: `docs/audit/` of the repository, or `audit/` of the data in a container of VX11."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.cli.failure import CommandFailed
from scripts.surroundings import REPOSITORY


def audit_folder(data_path: Path, repository: Path = REPOSITORY) -> Path:
    """The folder, made where it is missing. A container's own files cannot be written, its data can."""
    docs = repository / "docs"
    chosen = docs / "audit" if os.access(docs, os.W_OK) else data_path / "audit"
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"{chosen} cannot be made: {error.strerror}.") from error
    return chosen
