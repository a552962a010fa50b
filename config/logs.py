"""Log lines: one JSON object a line on stderr, with the correlation id, and never a token."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")

# What a credential looks like in this house: our own tokens, signed service tokens (JWT), and headers. A value ends
# before a quote or backslash, so that redacted JSON is still JSON; a placeholder (`$TOKEN`, `<token>`) is no secret.
_SECRETS = re.compile(
    r"vx11_[A-Za-z0-9_-]{8,}"
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
    r"|(?i:(?<=bearer )|(?<=x-vx11-token: ))[^\s\"'\\$<]+"
)
_HIDE_FROM_LENGTH = 4  # replacing shorter texts would only garble the lines
_hidden: set[str] = set()


def hide(secret: str) -> None:
    """Redact this very text from now on: a VX11_TOKEN that somebody chose may look like any word."""
    if len(secret) >= _HIDE_FROM_LENGTH:
        _hidden.update((secret, json.dumps(secret)[1:-1]))


def redacted(text: str) -> str:
    """`text` with everything that is or looks like a credential replaced; JSON stays JSON."""
    for secret in _hidden:
        text = text.replace(secret, "[redacted]")
    return _SECRETS.sub("[redacted]", text)


class _Redacting(JsonFormatter):
    """Adds the service and correlation id, and redacts the finished line, tracebacks included."""

    def __init__(self, service: str) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level"},
            static_fields={"service": service},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )

    def format(self, record: logging.LogRecord) -> str:
        record.correlation_id = correlation_id.get()
        return redacted(super().format(record))


def set_up(service: str, level: str) -> None:
    """Send all log records of this process to stderr as JSON lines; called once per process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
