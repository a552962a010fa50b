"""`python -m madre.engine_gate`: the gate on a Unix socket of its own, until a signal ends it."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

from aiohttp import web

from config import logs
from config.clients import byte_client
from config.settings import load_settings
from madre.engine_gate.passage import Passage


def main() -> int:
    """Serve at `VX11_POWER_GATE`, before the engine at `VX11_POWER_ENGINE`; the exit status."""
    settings = load_settings()
    logs.set_up("engine_gate", settings.log_level)
    power = settings.power
    passage = Passage(power.engine, power.project, byte_client)
    door = _listening(power.gate)
    logging.getLogger(__name__).info("the gate of project %s stands at %s", power.project, power.gate)
    web.run_app(passage.app(), sock=door, print=None, access_log=None, handler_cancellation=True)
    return 0


def _listening(path: Path) -> socket.socket:
    """A socket at `path` for whoever sees it: it lies in a volume that only madre's container has."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(path))
    path.chmod(0o666)
    return door


if __name__ == "__main__":
    sys.exit(main())
