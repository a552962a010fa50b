"""An engine of a test's own, with its own data and socket, so that it can be stopped while everybody else's goes on.

It keeps its hands off the packet filter, so its containers are reached from the host alone. Where another engine runs
it must have a network namespace of its own: started again, dockerd takes away the other's `docker0`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.containers import listens, run
from tests.support.eventually import eventually

_START_SEC = 60.0
_STOP_SEC = 60.0


class PrivateEngine:
    """`dockerd` in `folder`, whose path must be short enough for sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "engine.sock"
        self._bridge = f"vx11-{secrets.token_hex(3)}"
        self.address = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    async def make_bridge(self) -> None:
        """Give it a bridge of its own, once."""
        await run("ip", "link", "add", "name", self._bridge, "type", "bridge")
        await run("ip", "address", "add", "10.212.0.1/24", "dev", self._bridge)

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        own = ("--data-root", "data", "--exec-root", "exec", "--pidfile", "pid")
        paths = [word if word.startswith("--") else str(self._folder / word) for word in own]
        alone = ("--bridge", self._bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false")
        pool = ("--default-address-pool", "base=10.213.0.0/16,size=24")
        argv = ["dockerd", *paths, "--host", self.address, *alone, *pool]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        await eventually(self._answers, bool, within_sec=_START_SEC)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGTERM it ends its containers first, with SIGKILL they stay."""
        assert self._process is not None
        self._process.send_signal(how)
        await asyncio.to_thread(self._process.wait, _STOP_SEC)
        self._process = None
        if how == signal.SIGKILL:
            await asyncio.to_thread(self._clear_remains)

    async def load(self, image: str) -> None:
        """Have an image that the usual engine has."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
            argv = ["docker", "--host", self.address, "load", "--quiet"]
            await asyncio.to_thread(subprocess.run, argv, stdin=saving.stdout, check=True, stdout=subprocess.DEVNULL)

    async def close(self) -> None:
        """End it, with everything it had."""
        if self._process is not None:
            await self.stop()
        await run("ip", "link", "delete", self._bridge)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([one for one in mounts if one.startswith(f"{self._folder}/")]):
            await run("umount", "--lazy", mount)
        shutil.rmtree(self._folder)

    def _clear_remains(self) -> None:
        """What a service manager does after a crash: end the helper that lost its parent, remove what names them."""
        helper = self._folder / "exec" / "containerd"
        with suppress(ProcessLookupError):
            os.kill(int((helper / "containerd.pid").read_text()), signal.SIGKILL)
        for left in (helper / "containerd.pid", *helper.glob("*.sock*"), self._folder / "pid"):
            left.unlink(missing_ok=True)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        if not listens(str(self._socket)):
            return False
        asked = ["docker", "--host", self.address, "version"]
        return (await asyncio.to_thread(subprocess.run, asked, capture_output=True, check=False)).returncode == 0


@asynccontextmanager
async def private_engine(*images: str) -> AsyncIterator[PrivateEngine]:
    """An engine that has these images; gone with the block."""
    engine = PrivateEngine(Path(tempfile.mkdtemp(prefix="vx11-eng-")))
    try:
        await engine.make_bridge()
        await engine.start()
        for image in images:
            await engine.load(image)
        yield engine
    finally:
        await engine.close()
