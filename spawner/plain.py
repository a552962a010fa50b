"""What comes from daughters and tools, as every table and answer can hold it. Pure.

A file may be called by any bytes, and a program may say anything; JSON, UTF-8 and PostgreSQL's text each refuse some of
it. What cannot be held is spelt out (`\\xff`), not left out: whoever reads sees that something was there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, Final

_MOST_NAMES: Final = 1000
_MOST_BYTES: Final = 256 * 1024


def plain(text: str) -> str:
    """`text` without what is no character: half surrogates, and the null character, are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def plain_name(path: str) -> str:
    """The name of a file as the system gave it, with bytes that are no UTF-8 spelt out."""
    return plain(os.fsencode(path).decode("utf-8", "backslashreplace"))


def plain_json(value: Any) -> Any:
    """The same for all text within a value of JSON."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(str(name)): plain_json(held) for name, held in value.items()}
    return [plain_json(held) for held in value] if isinstance(value, list | tuple) else value


def as_many_as_fit(files: Iterable[dict[str, str]]) -> tuple[list[dict[str, str]], int]:
    """The first of these that a row holds (1000, 256 KiB), and how many more there are."""
    all_of_them, size = list(files), 2
    for count, file in enumerate(all_of_them):
        size += len(json.dumps(file)) + 2  # and what stands between two
        if count == _MOST_NAMES or size > _MOST_BYTES:
            return all_of_them[:count], len(all_of_them) - count
    return all_of_them, 0
