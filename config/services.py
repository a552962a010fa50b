"""The table of the house: ten services, their ports, what sleeps, and what memory each may take.

Every list of services elsewhere (routing, power, compose, docs) is derived from `FLEET`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from config.errors import NotFound


@dataclass(frozen=True, slots=True)
class Service:
    """One of the ten.

    `module` is the package whose `app.create` builds it; `memory_mb` is what admission reserves for it
    (MiB, the process itself and, of spawner, its daughters: models are counted by Switch under their own budget, in the
    processes of the service that `holds_models`).
    """

    name: str
    port: int
    module: str
    sleeps: bool
    memory_mb: int
    duty: str
    holds_models: bool = False

    @property
    def limit_mb(self) -> int | None:
        """What a container of it may take at most, MiB: twice what is reserved, so that a burst passes and a leak ends.
        None for the one that holds models: their budget is a setting."""
        return None if self.holds_models else 2 * self.memory_mb


_TABLE = (
    Service("tentaculo_link", 8000, "tentaculo_link", False, 128, "the front door: auth, limits, routing, waking"),
    Service("madre", 8001, "madre", False, 128, "power, intents, plans, confirmations"),
    Service("switch", 8002, "switch", True, 128, "every prompt: local models and providers", holds_models=True),
    Service("hermes", 8003, "hermes", True, 128, "the model registry: catalogue, download, scan, verify"),
    Service("hormiguero", 8004, "hormiguero", True, 128, "queen and ants: scanning for faults, incidents"),
    Service("manifestator", 8005, "manifestator", True, 128, "drift against the manifest, patch plans"),
    Service("mcp", 8006, "fleet_mcp", True, 128, "the fleet's tools over the Model Context Protocol"),
    Service("shub", 8007, "shub", True, 512, "audio: analysis, mastering, mixing, restoration"),
    Service("spawner", 8008, "spawner", True, 512, "daughter tasks in isolated processes"),
    Service("operator", 8011, "operator_backend", True, 256, "the operator's API, chats, browser tasks"),
)

FLEET: Mapping[str, Service] = MappingProxyType({service.name: service for service in _TABLE})
CORE: tuple[str, ...] = tuple(service.name for service in _TABLE if not service.sleeps)


def service_named(name: str) -> Service:
    """The service called `name`; NotFound, with the names there are, for any other word."""
    try:
        return FLEET[name]
    except KeyError:
        raise NotFound(f"There is no service called {name!r}.", hint=f"One of: {', '.join(FLEET)}.") from None


def is_present(service: Service) -> bool:
    """Whether this build holds the room of `service`; an absent room is said, never faked."""
    return importlib.util.find_spec(service.module) is not None and (
        importlib.util.find_spec(f"{service.module}.app") is not None
    )


def present_services() -> tuple[Service, ...]:
    """The services whose rooms this build holds, in the order of the table."""
    return tuple(service for service in _TABLE if is_present(service))
