"""Server-sent events of an OpenAI answer, whole events out of pieces that break anywhere. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from config.errors import BadPeer

MAX_EVENT_BYTES = 4 * 2**20
_END = re.compile(rb"\r?\n\r?\n")
_DONE = b"[DONE]"


class EventSplitter:
    """Takes pieces, gives whole events with the empty line that ends them; `rest` is what is not whole yet."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The events that are whole now; BadPeer for one that never ends."""
        data, at = self.rest + piece, 0
        for end in _END.finditer(data, max(0, len(self.rest) - 3)):  # the end may have come in two pieces
            yield data[at : end.end()]
            at = end.end()
        self.rest = data[at:]
        if len(self.rest) > MAX_EVENT_BYTES:
            raise BadPeer(f"An event of the answer is over {MAX_EVENT_BYTES} bytes.")


def is_done(event: bytes) -> bool:
    """Whether this is OpenAI's last event, `data: [DONE]`."""
    return _data(event) == _DONE


def is_comment(event: bytes) -> bool:
    """Whether it carries no data (a comment, a keep-alive)."""
    return not _data(event)


def content_of(event: bytes) -> dict[str, Any]:
    """The JSON object an event carries; BadPeer for anything else."""
    try:
        content = json.loads(_data(event))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadPeer("An event of the answer is not a JSON object.")
    return content


def _data(event: bytes) -> bytes:
    lines = (line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
    return b"\n".join(lines)
