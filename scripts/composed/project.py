"""A Compose project of the bench's own: the real file and images, other ports, volumes that go with it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from config.clients import door
from config.services import FLEET
from config.settings import inherited_environment
from scripts.measuring import REPOSITORY, TOKEN, free_port_prefix

_UP_SEC = 120
_PATIENCE_SEC = 60.0
_EVERY_SEC = 0.01
_USER = "10001"
_SIZE = re.compile(r"([\d.]+)\s*([KMG]?i?B)")
_MIB = {"B": 2**-20, "KiB": 2**-10, "kB": 1e3 / 2**20, "MiB": 1.0, "MB": 1e6 / 2**20, "GiB": 1024.0, "GB": 1e9 / 2**20}
_CPU_OF_THE_HOUSE = """
import os
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) not in (1, os.getpid()) and b"config" in open(f"/proc/{pid}/cmdline", "rb").read():
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        print(sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"))
        break
"""


class Project:
    """One project; `settings` are environment variables, as a person sets them."""

    def __init__(self, **settings: str) -> None:
        self.name = f"vx11-bench-{secrets.token_hex(4)}"
        self._prefix = free_port_prefix()
        outside = {name: value for name, value in inherited_environment().items() if not name.startswith("VX11_")}
        own = {
            "VX11_TOKEN": TOKEN,
            "VX11_PORT_PREFIX": self._prefix,
            "VX11_GATEWAY_RATE_PER_SEC": "1000000",
            "VX11_GATEWAY_RATE_BURST": "1000000",
        }
        self._environment = {**outside, **own, **settings}

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`; what it printed. RuntimeError with its complaint where it fails."""
        files = ("--env-file", os.devnull, "-f", "docker-compose.yml")
        return self._run("docker", "compose", "-p", self.name, *files, *arguments)

    def up(self, *services: str, wait: bool = False) -> None:
        """Bring containers up, with `wait` until the engine calls them healthy."""
        flags = ["--wait", "--wait-timeout", str(_UP_SEC)] if wait else []
        self.compose("up", "-d", "--no-build", "--pull", "never", "--no-deps", *flags, *services)

    def url(self, service: str) -> str:
        """The base URL of one service."""
        return f"http://127.0.0.1:{self._prefix}{FLEET[service].port % 100:02}"

    def client(self, service: str) -> httpx.Client:  # noqa: TID251  # the type; config/clients.py makes it
        """A client of one service that holds the admin token."""
        return door(self.url(service), TOKEN)

    def until_ready(self, *services: str) -> None:
        """Poll `/ready` of these services until all of them say so."""
        give_up = time.monotonic() + _PATIENCE_SEC
        for service in services:
            with self.client(service) as client:
                while not _is_ready(client):
                    if time.monotonic() > give_up:
                        raise RuntimeError(f"{service} did not become ready: {self.compose('logs', '--tail', '20')}")
                    time.sleep(_EVERY_SEC)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """All its processes stand still during the block, probes of the engine included."""
        self.compose("pause")
        try:
            yield
        finally:
            self.compose("unpause")

    def shelve(self, model: Path) -> None:
        """Put a model's file on the volume, as hermes would leave it, and have it registered."""
        mounts = ("-v", f"{self.name}_models:/models", "-v", f"{model.resolve()}:/file:ro")
        copy = ("--entrypoint", "cp", "vx11-core", "/file", f"/models/{model.name}")
        self._run("docker", "run", "--rm", "--user", _USER, *mounts, *copy)
        with self.client("tentaculo_link") as client:
            client.post("/hermes/scan", timeout=_PATIENCE_SEC).raise_for_status()

    def memory_mb(self) -> dict[str, float]:
        """What each running container takes, MiB, as `docker stats` counts: without page cache that can go."""
        names = self.compose("ps", "--format", "{{.Name}} {{.Service}}").split()
        services = dict(zip(names[::2], names[1::2], strict=True))
        lines = self._run("docker", "stats", "--no-stream", "--format", "{{json .}}", *services).splitlines()
        taken = {one["Name"]: one["MemUsage"] for one in map(json.loads, lines)}
        return {services[name]: in_mib(usage.partition("/")[0]) for name, usage in taken.items()}

    def cpu_sec(self, service: str) -> float:
        """Seconds of processor time that the service and the programs it ran have had; not the engine's probes."""
        return float(self.compose("exec", "-T", service, "python", "-S", "-c", _CPU_OF_THE_HOUSE))

    def down(self) -> None:
        """Remove every container, network and volume."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, cwd=REPOSITORY, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr[-2000:]}")
        return done.stdout


@contextlib.contextmanager
def running_project(services: Sequence[str], **settings: str) -> Iterator[Project]:
    """A project whose `services` are healthy; removed with the block."""
    project = Project(**settings)
    try:
        project.up(*services, wait=True)
        yield project
    finally:
        project.down()


def in_mib(size: str) -> float:
    """A size as Docker prints it (`85.3MiB`), in MiB."""
    found = _SIZE.match(size.strip())
    if found is None or found[2] not in _MIB:
        raise RuntimeError(f"Docker printed a size that is none: {size!r}")
    return round(float(found[1]) * _MIB[found[2]], 1)


def _is_ready(client: httpx.Client) -> bool:  # noqa: TID251  # the type
    try:
        return client.get("/ready").is_success
    except httpx.TransportError:
        return False
