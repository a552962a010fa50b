"""Which services madre may start by Compose: those of the house's table, if the file declares them harmlessly. Pure.

The file is read as `docker compose config --format json` prints it, so that includes, anchors, `extends` and variables
have become what will really be run (github.com/compose-spec/compose-spec).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from config.errors import StartFailed
from config.services import CORE, FLEET

ENGINE_SOCKETS: Final = ("/var/run/docker.sock", "/run/docker.sock")
_NAMESPACES: Final = ("pid", "ipc", "network_mode", "userns_mode", "uts", "cgroup")
_POWERS: Final = ("cap_add", "devices", "device_cgroup_rules", "volumes_from")


def must_be_startable(service: str, resolved: Mapping[str, Any]) -> None:
    """StartFailed, with the reason, unless madre may start `service` as the file `resolved` declares it."""
    if service not in FLEET or service in CORE:
        raise StartFailed(f"{service} is no service that madre starts.")
    declared = (resolved.get("services") or {}).get(service)
    if declared is None:
        raise StartFailed(f"The compose file declares no service {service}.")
    if more := more_than_a_service_needs(declared):
        raise StartFailed(f"{service} was not started: the compose file gives it {', '.join(more)}.")


def more_than_a_service_needs(declared: Mapping[str, Any]) -> list[str]:
    """What a declared service has of the host that no sleeping service of the house needs."""
    found = ["privileged"] if declared.get("privileged") else []
    found += [f"{name}: host" for name in _NAMESPACES if declared.get(name) == "host"]
    found += [name for name in _POWERS if declared.get(name)]
    mounts = (mount for mount in declared.get("volumes") or () if mount.get("source") in ENGINE_SOCKETS)
    return found + ["the engine's socket" for _ in mounts]
