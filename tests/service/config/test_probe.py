"""The health check of a container asks the service that the container was started for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from config.probe import main, ready_answer, service_of


@contextmanager
def server_that_says(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Somebody on a port of loopback who answers one question; the port, and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize(
    "command",
    [
        b"/sbin/docker-init\0--\0python\0-m\0config\0hermes\0",
        b"/sbin/docker-init\0--\0/app/scripts/container/with-engine\0python\0-m\0config\0hermes\0",
        b"python\0-m\0config\0hermes\0",
    ],
)
def test_the_service_is_the_last_word_of_what_the_container_runs(command: bytes) -> None:
    assert service_of(command) == "hermes"


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
def test_readiness_is_asked_in_one_line_of_http(status: str) -> None:
    with server_that_says(f"HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}".encode()) as (port, asked):
        assert ready_answer(port) == f"HTTP/1.1 {status}"
    assert asked[0].startswith(b"GET /ready HTTP/1.1\r\nHost: ")


def test_nobody_there_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(b"python\0-m\0config\0spawner\0") == 1
    assert capsys.readouterr().out == "spawner: [Errno 111] Connection refused\n"
