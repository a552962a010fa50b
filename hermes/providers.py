"""Command-line AI programs as files declare them: `programs.json`, and the user's own of the same form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from config.contracts.tools import ProgramEntry
from config.programs import MODEL_OPTIONS, placeholders_of

_FILE: Final = Path(__file__).with_name("programs.json")
_WORDS: Final = frozenset({"prompt", "model"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9._+-]+|/[^\x00]+")
MAX_PROGRAMS: Final = 100

Programs = Mapping[str, ProgramEntry]
NONE: Final[Programs] = MappingProxyType({})


@cache
def load_programs(path: Path = _FILE) -> Programs:
    """The programs that ship; ValueError where the file is not as it should be."""
    return parse_programs(path.read_text(encoding="utf-8"))


def parse_programs(text: str) -> Programs:
    """The programs that a file's text declares, by name; ValueError, saying what is wrong."""
    content = json.loads(text)
    declared = content.get("programs") if isinstance(content, dict) else None
    if not isinstance(declared, list) or len(declared) > MAX_PROGRAMS:
        raise ValueError(f'the file must be an object with a list of at most {MAX_PROGRAMS} objects under "programs"')
    entries = [_checked(ProgramEntry.model_validate(one)) for one in declared]
    programs = {entry.name: entry for entry in entries}
    if len(programs) != len(entries):
        raise ValueError("the file declares a name twice")
    return MappingProxyType(programs)


def takes_prompt_by_stdin(argv: list[str]) -> bool:
    """Whether a template leaves the question to stdin."""
    return "prompt" not in placeholders_of(argv)


def _checked(entry: ProgramEntry) -> ProgramEntry:
    calls = [entry.argv, entry.probe]
    calls += [call.argv for call in (entry.authentication, entry.listing) if call is not None]
    if not all(_PLAIN.fullmatch(call[0]) for call in calls):
        raise ValueError(f"{entry.name}: a program is a plain name looked for on PATH, or an absolute path")
    asked = placeholders_of([*(part for part in entry.argv if part != MODEL_OPTIONS), *entry.model_argv])
    if asked - _WORDS:
        raise ValueError(f"{entry.name}: its template may ask for prompt and model, not for {sorted(asked - _WORDS)}")
    if placeholders_of([part for call in calls[1:] for part in call]):
        raise ValueError(f"{entry.name}: only `argv` takes values")
    if entry.authentication is not None:
        _compiled(entry.name, entry.authentication.says or "")
    if entry.listing is not None:
        _compiled(entry.name, entry.listing.item)
    if entry.listing is not None and re.compile(entry.listing.item).groups < 1:
        raise ValueError(f"{entry.name}: `listing.item` needs a group that is the model")
    return entry


def _compiled(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{name}: {pattern!r} is no regular expression ({error})") from error
