"""The logs: they can be written, do not fill the disk, hold no credential, and say what went wrong lately."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.quantities import bytes_in_words

_RECENT = timedelta(hours=1)
_TAIL_BYTES = 512 * 1024
_SECRET = re.compile(r"vx11_[A-Za-z0-9_-]{43}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")
_BAD = {"ERROR", "CRITICAL"}


def examine(folder: Path, token: str, now: datetime) -> list[Finding]:
    """All findings on the logs in `folder`; `token` must not stand in any of them."""
    if not folder.is_dir():
        return [ok("logs", "not kept in files: the engine that runs the containers keeps them")]
    return [writable(folder), size(folder), secrecy(folder, token), *_errors(folder, now)]


def writable(folder: Path) -> Finding:
    """Whether what services print can be kept."""
    if os.access(folder, os.W_OK | os.X_OK):
        return ok("logs", "can be written")
    return failure("logs", f"Nothing can be written to {folder}.", f"chown the folder to who runs the fleet: {folder}")


def size(folder: Path) -> Finding:
    """What all logs take; each is cut by the fork server."""
    return ok("log size", bytes_in_words(sum(file.stat().st_size for file in _files(folder))))


def secrecy(folder: Path, token: str) -> Finding:
    """Whether a credential stands in a log: the admin token, any token of ours, a signed one."""
    found = [file.name for file in _files(folder) if _holds_secret(_tail(file), token)]
    if not found:
        return ok("log secrecy", "no credential in what was written last")
    return failure(
        "log secrecy",
        f"A credential stands in {', '.join(found)}.",
        "Rotate the token (POST /auth/tokens/{id}/rotate, or VX11_TOKEN), then delete the file.",
    )


def _errors(folder: Path, now: datetime) -> Iterator[Finding]:
    """A finding for each log that tells of errors in the last hour."""
    total = 0
    for file in sorted(folder.glob("*.log")):
        bad = [record for record in _records(_tail(file)) if _is_recent_error(record, now)]
        total += len(bad)
        if bad:
            words = f"{len(bad)} errors in the last hour, the last: {str(bad[-1].get('message'))[:120]}"
            yield warning(file.stem, words, f"Read {file.name} in the data folder, under logs.")
    if not total:
        yield ok("log errors", "none in the last hour")


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.is_file() and ".log" in file.name]


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return stream.read().decode(errors="replace")


def _holds_secret(text: str, token: str) -> bool:
    return (bool(token) and token in text) or _SECRET.search(text) is not None


def _records(text: str) -> Iterator[dict[str, object]]:
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def _is_recent_error(record: dict[str, object], now: datetime) -> bool:
    if str(record.get("level", "")).upper() not in _BAD:
        return False
    try:
        return now - datetime.fromisoformat(str(record["time"])) <= _RECENT
    except (KeyError, ValueError, TypeError):  # no time, or one without a zone: better told once too often
        return True
