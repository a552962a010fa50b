"""What a service printed, made fit for an answer: messages and reasons, no stack frames, no paths of the host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_FRAME = re.compile(r"^\s+|^Traceback |^During handling|^The above exception")
_PATH = re.compile(r"(?:/[\w.@+-]+)+/([\w.@+-]+)")


def readable(printed: Iterable[str]) -> list[str]:
    """The lines worth showing: log records as `level: message` with the exception's last line, the rest as it is."""
    found = (_shown(line) for line in printed)
    return [_PATH.sub(r"\1", line) for line in found if line]


def _shown(line: str) -> str:
    try:
        record = json.loads(line)
    except ValueError:
        return "" if _FRAME.match(line) else line.strip()
    if not isinstance(record, dict) or "message" not in record:
        return line
    raised = str(record.get("exc_info") or "").strip().splitlines()
    reason = f" ({raised[-1]})" if raised else ""
    return f"{str(record.get('level', 'info')).lower()}: {record['message']}{reason}"
