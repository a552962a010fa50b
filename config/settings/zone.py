"""The zone that people's clock times are in: the one that is named, else the machine's."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCALTIME = Path("/etc/localtime")


@lru_cache(maxsize=8)
def zone_named(name: str) -> ZoneInfo:
    """The zone with an IANA name; ValueError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it as in Europe/Madrid") from None


@lru_cache(maxsize=1)
def local_zone(localtime: Path = _LOCALTIME) -> tzinfo:
    """The machine's own zone, as /etc/localtime has it; UTC where that says nothing."""
    try:
        with localtime.open("rb") as rules:
            return ZoneInfo.from_file(rules, key=str(localtime))
    except (OSError, ValueError):
        return UTC
