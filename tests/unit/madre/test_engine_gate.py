"""What passes the gate before the engine, and all that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Forbidden
from madre.engine_gate.rules import Thing, judged

LABELS = {"com.docker.compose.project": "vx11", "com.docker.compose.service": "switch"}


def created(host: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """The body of a container as Compose makes it, with changes."""
    plain = {
        "NetworkMode": "vx11_default",
        "Binds": ["vx11_data:/data:rw"],
        "Mounts": [{"Type": "volume", "Source": "vx11_models", "Target": "/models", "VolumeOptions": {}}],
        "PortBindings": {"8002/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8002"}]},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "8m"}},
        "Memory": 1 << 27,
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "RestartPolicy": {"Name": "no"},
        "MaskedPaths": None,
        "Privileged": False,
        "PidMode": "",
        "Devices": [],
    }
    body = {
        "Image": "vx11-switch",
        "Env": ["VX11_TOKEN=x"],
        "Labels": LABELS,
        "HostConfig": {**plain, **(host or {})},
        "NetworkingConfig": {"EndpointsConfig": {"vx11_default": {"Aliases": ["switch"]}}},
    }
    return {**body, **fields}


def refuses(method: str, path: str, body: Any = None, **query: str) -> None:
    with pytest.raises(Forbidden):
        judged(method, path, query, body, "vx11")


def test_a_container_of_the_project_passes_once_its_volumes_and_networks_are_known_to_be_the_projects() -> None:
    allowed = judged("POST", "/containers/create", {"name": "vx11-switch-1"}, created(), "vx11")
    assert allowed.query == {"name": "vx11-switch-1"}
    assert set(allowed.things) == {
        Thing("volumes", "vx11_data"),
        Thing("volumes", "vx11_models"),
        Thing("networks", "vx11_default"),
    }


@pytest.mark.parametrize(
    "host",
    [
        {"Privileged": True},
        {"Binds": ["/:/host"]},
        {"Binds": ["/var/run/docker.sock:/var/run/docker.sock"]},
        {"Binds": ["../etc:/host"]},
        {"Binds": ["~/x:/host"]},
        {"Binds": ["vx11_data"]},
        {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
        {"Mounts": [{"Type": "volume", "Source": "/etc", "Target": "/host"}]},
        {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"DriverConfig": {"a": "b"}}}]},
        {"Mounts": ["/:/host"]},
        {"NetworkMode": "host"},
        {"NetworkMode": "container:vx11-madre-1"},
        {"PidMode": "host"},
        {"IpcMode": "host"},
        {"IpcMode": "container:x"},
        {"UTSMode": "host"},
        {"UsernsMode": "host"},
        {"CgroupnsMode": "host"},
        {"CgroupParent": "/"},
        {"CapAdd": ["SYS_ADMIN"]},
        {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"DeviceRequests": [{"Count": -1}]},
        {"DeviceCgroupRules": ["a *:* rwm"]},
        {"SecurityOpt": ["apparmor=unconfined"]},
        {"VolumesFrom": ["vx11-madre-1"]},
        {"Links": ["other"]},
        {"Runtime": "other"},
        {"Sysctls": {"net.ipv4.ip_forward": "1"}},
        {"OomScoreAdj": -1000},
        {"MaskedPaths": []},
        {"ReadonlyPaths": []},
        {"LogConfig": {"Type": "syslog"}},
        {"PortBindings": {"8002/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8002"}]}},
        {"PortBindings": {"8002/tcp": [{"HostPort": "8002"}]}},
        {"privileged": True},
        {"SomethingNew": {"on": True}},
        {"Binds": "/:/host"},
        {"Mounts": {"Type": "bind"}},
        {"PortBindings": [1]},
        {"PortBindings": {"1/tcp": 1}},
        {"PortBindings": {"1/tcp": ["x"]}},
        {"IpcMode": ["host"]},
        {"LogConfig": {"Type": {}}},
    ],
    ids=json.dumps,
)
def test_what_opens_the_host_is_refused(host: dict[str, Any]) -> None:
    refuses("POST", "/containers/create", created(host))


@pytest.mark.parametrize(
    "fields",
    [
        {"Labels": {}},
        {"Labels": None},
        {"Labels": {**LABELS, "com.docker.compose.project": "another"}},
        {"Labels": {**LABELS, "com.docker.compose.service": "madre"}},
        {"Labels": {**LABELS, "com.docker.compose.service": "miner"}},
        {"hostconfig": {"Privileged": True}},
        {"HostConfig": "x"},
        {"NetworkingConfig": {"EndpointsConfig": {"host": {}}}},
        {"NetworkingConfig": {"EndpointsConfig": {"../x": {}}}},
        {"NetworkingConfig": {"Else": 1}},
    ],
    ids=json.dumps,
)
def test_what_is_not_the_projects_is_not_created(fields: dict[str, Any]) -> None:
    refuses("POST", "/containers/create", created(**fields))


@given(st.text(min_size=1), st.one_of(st.just(True), st.integers(1), st.text(min_size=1)))
def test_a_field_nobody_knows_is_refused(name: str, value: Any) -> None:
    refuses("POST", "/containers/create", created({f"X{name}": value}))
    refuses("POST", "/containers/create", created(**{f"X{name}": value}))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/containers/a/exec"),
        ("POST", "/exec/a/start"),
        ("POST", "/containers/a/attach"),
        ("POST", "/containers/a/update"),
        ("POST", "/containers/a/rename"),
        ("DELETE", "/containers/a"),
        ("DELETE", "/volumes/vx11_data"),
        ("GET", "/containers/a/archive"),
        ("PUT", "/containers/a/archive"),
        ("GET", "/containers/a/export"),
        ("POST", "/images/create"),
        ("POST", "/build"),
        ("POST", "/commit"),
        ("POST", "/swarm/init"),
        ("POST", "/services/create"),
        ("POST", "/plugins/pull"),
        ("GET", "/secrets"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("GET", "/containers/../images/json"),
        ("GET", "/images/a/../../containers/b/json"),
        ("GET", "//containers/a/json"),
        ("POST", "/containers/a/start/"),
        ("POST", "/containers/json"),
        ("GET", ""),
    ],
)
def test_other_paths_do_not_pass(method: str, path: str) -> None:
    refuses(method, path, {})


def test_what_is_looked_at_or_touched_must_be_the_projects() -> None:
    for method, path in (("GET", "json"), ("GET", "logs"), ("GET", "stats"), ("POST", "start"), ("POST", "stop")):
        assert judged(method, f"/containers/abc/{path}", {}, None, "vx11").things == (Thing("containers", "abc"),)
    assert judged("GET", "/networks/vx11_default", {}, None, "vx11").things == (Thing("networks", "vx11_default"),)
    assert judged("GET", "/volumes/vx11_data", {}, None, "vx11").things == (Thing("volumes", "vx11_data"),)


@pytest.mark.parametrize("path", ["/containers/json", "/events", "/networks", "/volumes"])
@pytest.mark.parametrize(
    "asked",
    [{}, {"label": ["a=b"]}, {"label": {"a=b": True}}, {"label": ["com.docker.compose.project=another"]}],
    ids=json.dumps,
)
def test_lists_are_narrowed_to_the_project(path: str, asked: dict[str, Any]) -> None:
    query = {"filters": json.dumps(asked), "all": "1"} if asked else {}
    allowed = judged("GET", path, query, None, "vx11")
    labels = json.loads(allowed.query["filters"])["label"]
    assert "com.docker.compose.project=vx11" in labels
    assert set(asked.get("label", ())) <= set(labels)
    assert {**allowed.query, "filters": ""} == {**query, "filters": ""}


@pytest.mark.parametrize("filters", ["x", "[]", '{"label": 3}', "7"])
def test_filters_that_cannot_be_read_are_refused(filters: str) -> None:
    refuses("GET", "/containers/json", filters=filters)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/networks/create", {"Driver": "macvlan"}),
        ("/networks/create", {"Driver": "host"}),
        ("/networks/create", {"Options": {"com.docker.network.bridge.name": "docker0"}}),
        ("/networks/create", {"ConfigFrom": {"Network": "x"}}),
        ("/networks/create", {"Labels": {}}),
        ("/volumes/create", {"DriverOpts": {"type": "none", "o": "bind", "device": "/"}}),
        ("/volumes/create", {"Driver": "nfs"}),
        ("/volumes/create", {"Labels": None}),
    ],
)
def test_networks_and_volumes_are_plain_and_of_the_project(path: str, fields: dict[str, Any]) -> None:
    plain = {"Name": "vx11_x", "Labels": LABELS, "Driver": "", "IPAM": None}
    assert judged("POST", path, {}, plain if "networks" in path else {**plain, "IPAM": {}}, "vx11").things == ()
    refuses("POST", path, {**plain, **fields})
