"""What benches share: a fleet of their own in a temporary folder, and medians.

A bench's fleet has its own ports, data and token, so it neither meets nor disturbs one that is running; the
model files are linked, not copied.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.clients import door
from config.services import CORE, FLEET
from config.settings import inherited_environment

REPOSITORY = Path(__file__).resolve().parent.parent
TOKEN = "vx11_token-of-one-bench-run"
_START_SEC = 30.0


@dataclass(frozen=True, slots=True)
class MeasuredFleet:
    """A running fleet: where it is, its data, and the process everything hangs on."""

    port: int
    folder: Path
    pid: int

    @property
    def url(self) -> str:
        """The door's base URL."""
        return f"http://127.0.0.1:{self.port}"

    def door(self) -> httpx.Client:  # noqa: TID251  # the type; config/clients.py makes it
        """A client of the door that holds the admin token."""
        return door(self.url, TOKEN)


def median(values: Sequence[float], digits: int = 3) -> float:
    """The median, rounded for reading."""
    return round(statistics.median(values), digits)


def free_offset() -> int:
    """A port offset under which the whole fleet finds its ports free now."""
    for offset in range(3_000, 40_000, 100):
        with contextlib.ExitStack() as stack:
            try:
                for service in FLEET.values():
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", service.port + offset))
            except OSError:
                continue
            return offset
    raise RuntimeError("no free range of ports on loopback")


def free_port_prefix() -> str:
    """The first digits of ports that a fleet of containers finds free now: `123` for 12300 to 12399."""
    return str((8_000 + free_offset()) // 100)


def model_files(folder: Path) -> list[Path]:
    """The GGUF files in a models folder, smallest first."""
    files = sorted(folder.glob("*.gguf"), key=lambda file: file.stat().st_size)
    if not files:
        raise SystemExit(f"There is no model in {folder}/ to measure with; `./vx11 up` pulls two.")
    return files


@contextlib.contextmanager
def running_fleet(models: Sequence[Path] = (), **variables: str) -> Iterator[MeasuredFleet]:
    """A fleet with `models` registered; `variables` are further settings (`VX11_…`)."""
    folder = Path(tempfile.mkdtemp(prefix="vx11-bench-"))
    (folder / "models").mkdir()
    for file in models:
        _link(file, folder / "models" / file.name)
    offset = free_offset()
    outside = {name: value for name, value in inherited_environment().items() if not name.startswith("VX11_")}
    own = {
        "VX11_TOKEN": TOKEN,
        "VX11_PORT_OFFSET": str(offset),
        "VX11_DATA_PATH": str(folder / "data"),
        "VX11_MODELS_PATH": str(folder / "models"),
        "VX11_GATEWAY_RATE_PER_SEC": "1000000",
        "VX11_GATEWAY_RATE_BURST": "1000000",
    }
    command = [sys.executable, "-m", "config", "fleet"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env={**outside, **own, **variables}, stderr=log, stdout=log)
    try:
        fleet = MeasuredFleet(8000 + offset, folder, process.pid)
        _until_ready(fleet, process)
        if models:
            with fleet.door() as client:
                client.post("/hermes/scan").raise_for_status()
        yield fleet
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        shutil.copy(source, target)


def _until_ready(fleet: MeasuredFleet, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_SEC
    offset = fleet.port - FLEET["tentaculo_link"].port
    core = [f"http://127.0.0.1:{FLEET[name].port + offset}/ready" for name in CORE]
    with fleet.door() as client:
        while time.monotonic() < give_up and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if all(client.get(url).is_success for url in core):
                    return
            time.sleep(0.05)
    raise RuntimeError(f"the fleet did not start: {(fleet.folder / 'log').read_text()[-2000:]}")
