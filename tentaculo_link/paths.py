"""Whose path is it: the first segment names the service, a few well-known ones belong to somebody."""

from __future__ import annotations

from config.services import FLEET

# Paths that clients expect at the door without a service's name in front.
_WELL_KNOWN = {"v1": "switch", "mcp": "mcp", "ws": "operator", "spawn": "spawner"}
_OWNERS = {**{name: name for name in FLEET if name != "tentaculo_link"}, **_WELL_KNOWN}


def owner_of(path: str) -> str | None:
    """The service that `path` belongs to, or None when the door answers it itself."""
    return _OWNERS.get(path[1:].partition("/")[0])
