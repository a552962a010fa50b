"""A gateway that a test answers for, behind the command line's real Door."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from scripts.cli.door import Door

Answer = Callable[[httpx.Request], httpx.Response]


class Gateway:
    """Answers by method and path; `asked` keeps every request as (method, path, body)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._answers: dict[tuple[str, str], Iterator[Answer]] = {}

    def on(self, method: str, path: str, *answers: object, status: int = 200) -> None:
        """What the next calls get: JSON, or a response; the last one is repeated."""
        self._answers[method, path] = _in_turn([_response(answer, status) for answer in answers])

    def on_stream(self, path: str, *events: object) -> None:
        """A POST that is answered by server-sent events."""
        text = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
        headers = {"content-type": "text/event-stream"}
        self.on("POST", path, lambda _request: httpx.Response(200, headers=headers, text=text))

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; a path nobody prepared is the test's mistake."""
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path, body))
        return next(self._answers[request.method, request.url.path])(request)


@contextmanager
def door_to(gateway: Gateway) -> Iterator[Door]:
    """The command line's Door, leading to `gateway`."""
    with httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(gateway.handle)) as client:
        yield Door(client)


def _response(answer: object, status: int) -> Answer:
    if callable(answer):
        return answer
    return lambda _request: httpx.Response(status, json=answer)


def _in_turn(answers: list[Answer]) -> Iterator[Answer]:
    yield from answers
    while True:
        yield answers[-1]
