"""Free ports for a whole fleet on one machine, so that tests and a running fleet never meet."""

from __future__ import annotations

import random
import socket

from config.services import FLEET


def free_port_offset() -> int:
    """An offset under which every service's port is free on loopback now."""
    for _ in range(200):
        offset = random.randrange(2_000, 24_000, 20)  # below 32768: from there on the kernel gives ports to clients
        if all(is_free(service.port + offset) for service in FLEET.values()):
            return offset
    raise AssertionError("no free range of ports on loopback")


def is_free(port: int) -> bool:
    """Whether nobody listens on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
