"""The health check of a container: `python -S -m config.probe` asks the service here whether it can do its job.

The engine runs it every few seconds in every container, so it is made of sockets alone: an HTTP client or the settings
would cost ten times as much as the question.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from config.services import service_named

_WITHIN_SEC = 8.0  # the engine gives up after 10 s: a busy machine is not an ill one
_FIRST_PROCESS = Path("/proc/1/cmdline")
_ASK = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main(command: bytes) -> int:
    """0 where the service that `command` started here is ready; else 1. The answer is printed for `docker inspect`."""
    service = service_of(command)
    try:
        answer = ready_answer(service_named(service).port)
    except OSError as error:
        answer = str(error)
    print(f"{service}: {answer}")
    return 0 if " 200 " in answer else 1


def service_of(command: bytes) -> str:
    """The service that a container was started for: the last word of its first process's command line."""
    return command.rstrip(b"\0").rpartition(b"\0")[2].decode()


def ready_answer(port: int) -> str:
    """The status line that the service on `port` answers with; OSError where none does."""
    with socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_SEC) as connection:
        connection.sendall(_ASK)
        return connection.makefile("rb").readline().decode("latin-1").strip()


if __name__ == "__main__":
    sys.exit(main(_FIRST_PROCESS.read_bytes()))
