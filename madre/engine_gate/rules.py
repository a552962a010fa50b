"""What may pass the gate. Pure, and closed by default: a path, a field or a value that is not named here is refused.

The wire is the Engine API's (docs.docker.com/reference/api/engine); the calls are those that `docker compose up`,
`config` and the driver's own looks make.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.errors import Forbidden
from config.services import CORE, FLEET

PROJECT_LABEL: Final = "com.docker.compose.project"
_SERVICE_LABEL: Final = "com.docker.compose.service"
_NAME: Final = r"([a-zA-Z0-9][a-zA-Z0-9_.-]*)"
_FREE: Final = re.compile(r"/_ping|/version|/info|/images/json|/images/[a-zA-Z0-9][a-zA-Z0-9_.:/@-]*/json")
_LISTS: Final = re.compile(r"/containers/json|/events|/networks|/volumes")
_LOOKS: Final = re.compile(rf"/(containers)/{_NAME}/(?:json|logs|stats)|/(networks|volumes)/{_NAME}")
_ACTS: Final = re.compile(rf"/(containers)/{_NAME}/(?:start|stop)")

_HARMLESS: Final = frozenset({
    "AutoRemove", "BlkioWeight", "CapDrop", "ConsoleSize", "CpuPeriod", "CpuQuota", "CpuShares", "CpusetCpus", "Dns",
    "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "Init", "Memory", "MemoryReservation", "MemorySwap",
    "MemorySwappiness", "NanoCpus", "PidsLimit", "ReadonlyRootfs", "RestartPolicy", "ShmSize", "Tmpfs", "Ulimits",
})  # fmt: skip
_ONE_OF: Final[Mapping[str, frozenset[str]]] = {
    "CgroupnsMode": frozenset({"", "private"}),
    "IpcMode": frozenset({"", "private", "shareable", "none"}),
    "Isolation": frozenset({"", "default"}),
}
_CONTAINER: Final = frozenset({
    "ArgsEscaped", "AttachStderr", "AttachStdin", "AttachStdout", "Cmd", "Domainname", "Entrypoint", "Env",
    "ExposedPorts", "Healthcheck", "Hostname", "Image", "Labels", "MacAddress", "NetworkDisabled", "OnBuild",
    "OpenStdin", "Shell", "StdinOnce", "StopSignal", "StopTimeout", "Tty", "User", "Volumes", "WorkingDir",
})  # fmt: skip
_NETWORK: Final = frozenset({
    "Attachable", "CheckDuplicate", "EnableIPv4", "EnableIPv6", "Internal", "Labels", "Name",
})  # fmt: skip
_VOLUME: Final = frozenset({"Labels", "Name"})


@dataclass(frozen=True, slots=True)
class Thing:
    """Something at the engine that must belong to the project before a request may pass."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Pass:
    """A request may pass, with this query, once these things are known to be the project's."""

    query: Mapping[str, str]
    things: tuple[Thing, ...] = ()


def judged(method: str, path: str, query: Mapping[str, str], body: Any, project: str) -> Pass:
    """Under what condition a request may pass; Forbidden if it may not. `path` is without the API's version."""
    if ".." not in path:
        if method in ("GET", "HEAD") and _FREE.fullmatch(path):
            return Pass(query)
        if method == "GET" and _LISTS.fullmatch(path):
            return Pass({**query, "filters": narrowed(query.get("filters", ""), project)})
        if touched := (_LOOKS if method == "GET" else _ACTS).fullmatch(path):
            kind, name = (group for group in touched.groups() if group)
            return Pass(query, (Thing(kind, name),))
        if method == "POST" and path in CREATES:
            return Pass(query, tuple(CREATES[path](body, project)))
    raise Forbidden(f"{method} {path} does not pass this gate.")


def narrowed(filters: str, project: str) -> str:
    """The `filters` of a list with the project's label added, so that only what is the project's is seen."""
    try:
        asked = {name: dict.fromkeys(values, True) for name, values in json.loads(filters or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        raise Forbidden("The filters cannot be read.") from None
    asked.setdefault("label", {})[f"{PROJECT_LABEL}={project}"] = True
    return json.dumps(asked)  # all in the one form: the engine does not read lists beside maps


def _container(body: Any, project: str) -> Iterator[Thing]:
    """What must be the project's for a container to be created as `body` says."""
    fields = _fields(body, "a container")
    host = _fields(fields.pop("HostConfig", None), "HostConfig")
    networking = _fields(fields.pop("NetworkingConfig", None), "NetworkingConfig")
    _must_be_labelled(fields, project, "container")
    service = fields["Labels"].get(_SERVICE_LABEL)
    if service not in FLEET or service in CORE:
        raise Forbidden(f"{service} is no service that madre starts.")
    _nothing_but(fields, _CONTAINER, "a container")
    yield from _volumes(host)
    yield from _networks(host, networking)
    _ports(host.pop("PortBindings", None))
    _confined(host)


def _network(body: Any, project: str) -> Iterator[Thing]:
    fields = _fields(body, "a network")
    _must_be_labelled(fields, project, "network")
    _must_be(fields.pop("Driver", ""), {"", "bridge"}, "Driver")
    _must_be(_fields(fields.pop("IPAM", None), "IPAM").get("Driver", ""), {"", "default"}, "IPAM")
    _nothing_but(fields, _NETWORK, "a network")
    return iter(())


def _volume(body: Any, project: str) -> Iterator[Thing]:
    fields = _fields(body, "a volume")
    _must_be_labelled(fields, project, "volume")
    _must_be(fields.pop("Driver", ""), {"", "local"}, "Driver")
    _nothing_but(fields, _VOLUME, "a volume")  # options of the local driver could mount any folder of the host
    return iter(())


CREATES: Final = {"/containers/create": _container, "/networks/create": _network, "/volumes/create": _volume}


def _volumes(host: dict[str, Any]) -> Iterator[Thing]:
    """The named volumes; a folder of the host is refused."""
    for bind in _list(host.pop("Binds", None), "Binds"):
        source, _, inside = str(bind).partition(":")
        if not re.fullmatch(_NAME, source) or not inside.startswith("/"):
            raise Forbidden("A container gets named volumes only, no folders of the host.")
        yield Thing("volumes", source)
    for mount in _list(host.pop("Mounts", None), "Mounts"):
        fields = _fields(mount, "a mount")
        kind, source = fields.pop("Type", ""), str(fields.pop("Source", ""))
        if kind not in ("volume", "tmpfs") or (kind == "volume" and not re.fullmatch(_NAME, source)):
            raise Forbidden("A container gets named volumes only, no folders of the host.")
        _nothing_but(fields, {"Target", "ReadOnly", "TmpfsOptions"}, "a mount")
        if kind == "volume":
            yield Thing("volumes", source)


def _networks(host: dict[str, Any], networking: dict[str, Any]) -> Iterator[Thing]:
    """The networks it joins, none of which is the host's or another container's."""
    mode = str(host.pop("NetworkMode", "") or "none")
    joined = set(_fields(networking.pop("EndpointsConfig", None), "EndpointsConfig")) | ({mode} - {"none"})
    _nothing_but(networking, frozenset(), "NetworkingConfig")
    for name in sorted(joined):
        if name in ("host", "bridge", "default") or not re.fullmatch(_NAME, name):
            raise Forbidden(f"A container joins networks of its project only, not {name}.")
        yield Thing("networks", name)


def _ports(bindings: Any) -> None:
    for published in _fields(bindings, "PortBindings").values():
        for one in _list(published, "PortBindings"):
            _must_be(
                _fields(one, "a published port").get("HostIp", ""), {"127.0.0.1", "::1"}, "a published port's address"
            )


def _confined(host: dict[str, Any]) -> None:
    """Everything else that a container may have of its host: what limits it, and nothing that opens it."""
    for name, values in _ONE_OF.items():
        _must_be(host.pop(name, "") or "", values, name)
    for option in _list(host.pop("SecurityOpt", None), "SecurityOpt"):
        _must_be(option, {"no-new-privileges", "no-new-privileges:true"}, "SecurityOpt")
    log = _fields(host.pop("LogConfig", None), "LogConfig")
    _must_be(log.get("Type", ""), {"", "json-file", "local", "none"}, "LogConfig")
    for name in ("MaskedPaths", "ReadonlyPaths"):  # empty is not nothing here: it would uncover what is hidden
        if host.pop(name, None) is not None:
            raise Forbidden(f"A container may not set {name}.")
    _nothing_but(host, _HARMLESS, "HostConfig")


def _fields(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Forbidden(f"{what} must be an object.")
    return dict(value)


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Forbidden(f"{what} must be a list.")
    return value


def _must_be_labelled(fields: Mapping[str, Any], project: str, what: str) -> None:
    if _fields(fields.get("Labels"), "Labels").get(PROJECT_LABEL) != project:
        raise Forbidden(f"This {what} would not be of the project {project}.")


def _must_be(value: Any, allowed: frozenset[str] | set[str], what: str) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise Forbidden(f"{what} may not be {value!r}.")


def _nothing_but(fields: Mapping[str, Any], allowed: frozenset[str] | set[str], what: str) -> None:
    more = sorted(name for name, value in fields.items() if name not in allowed and value)
    if more:
        raise Forbidden(f"{what} may not set {', '.join(more)}.")
