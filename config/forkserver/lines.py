"""What madre and the fork server say to each other: one JSON object a line, over two pipes.

    madre → fork server   {"id": 7, "order": "start", "service": "switch"}     also "stop", "list"
    fork server → madre   {"id": 7, "children": [{"service", "pid", "started_at", "stopping"}]}
                          {"exit": {"service", "pid", "status", "asked"}}

Every answer holds all children, so madre's picture is never older than her last question. A line is
shorter than PIPE_BUF (4096), so the kernel writes it whole or not at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

OrderKind = Literal["start", "stop", "list"]
PIPE_BUF = 4096
CLOSING = "the fleet is closing"


@dataclass(frozen=True, slots=True)
class Order:
    """Start or stop `service`, or only tell what runs. Starting what runs and stopping what does not is no error."""

    id: int
    order: OrderKind
    service: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """One live child; `stopping` once it has been asked to end."""

    service: str
    pid: int
    started_at: datetime
    stopping: bool


@dataclass(frozen=True, slots=True)
class Exited:
    """One child that ended. `status`: its exit code, or minus the signal; `asked`: somebody wanted it to end."""

    service: str
    pid: int
    status: int
    asked: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the order `id`: every child there is now; `refused` says why an order was not taken."""

    id: int
    children: tuple[Running, ...]
    refused: str | None = None


class BadLine(ValueError):
    """A line that is not one of this language."""


def order_line(order: Order) -> bytes:
    """`order` as madre writes it."""
    return _line(asdict(order))


def answer_line(answer: Answer) -> bytes:
    """`answer` as the fork server writes it."""
    children = [{**asdict(child), "started_at": child.started_at.isoformat()} for child in answer.children]
    return _line({"id": answer.id, "children": children, "refused": answer.refused})


def exit_line(exited: Exited) -> bytes:
    """`exited` as the fork server writes it."""
    return _line({"exit": asdict(exited)})


def read_order(line: bytes) -> Order:
    """The order in `line`; BadLine if there is none."""
    try:
        order = Order(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise BadLine(str(error)) from error
    if order.order not in ("start", "stop", "list"):
        raise BadLine(f"unknown order {order.order!r}")
    return order


def read_report(line: bytes) -> Answer | Exited:
    """The answer or exit in `line`; BadLine if there is none."""
    try:
        said: dict[str, Any] = json.loads(line)
        if "exit" in said:
            return Exited(**said["exit"])
        children = (Running(**{**child, "started_at": _moment(child)}) for child in said["children"])
        return Answer(said["id"], tuple(children), said["refused"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadLine(str(error)) from error


class LineBuffer:
    """Cuts what comes out of a pipe into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def fed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completed, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


def _moment(child: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(child["started_at"])


def _line(said: dict[str, Any]) -> bytes:
    line = json.dumps(said, separators=(",", ":")).encode() + b"\n"
    if len(line) > PIPE_BUF:
        raise BadLine(f"a line of {len(line)} bytes could be torn")
    return line
