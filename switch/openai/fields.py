"""The members of a request body, read one by one, with every fault noted and told at once.

A parameter is taken, or known to change nothing, or refused by name: none is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from config.errors import BadRequest, Invalid

T = TypeVar("T")

# They address a caller, a bill or a cache, and change no token of the answer.
_WITHOUT_EFFECT = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
# Refused unless they ask for what is done anyway.
_ONLY: dict[str, tuple[Any, ...]] = {
    "echo": (False,),
    "suffix": ("",),
    "functions": ([],),
    "function_call": ("none",),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}
_MOST_FAULTS = 50  # told of one body


class Fields:
    """Reads the members of a body one by one and gathers what is wrong with them."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self._errors: list[dict[str, str]] = []
        self._known = set(_WITHOUT_EFFECT)

    def wrong(self, field: str, message: str) -> None:
        """Note a fault; of very many the first are enough."""
        if len(self._errors) < _MOST_FAULTS:
            self._errors.append({"field": field[:200], "message": message})

    def take(self, name: str) -> Any:
        """The member `name`; None where it is absent or null."""
        self._known.add(name)
        return self._body.get(name)

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self.take(name)
        if isinstance(value, str) and value and is_unicode(value):
            return value
        self.wrong(name, "must be a string that is not empty")
        return ""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(name, "must be true or false")
        return value is True

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self.take(name)
        if value is None:
            return default
        # The comparison is false for NaN, which Python's JSON reader lets through.
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.wrong(name, f"must be a number from {low:g} to {high:g}")
        return default

    def whole(self, name: str, *, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, or None."""
        value = self.take(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
            return value
        self.wrong(name, f"must be a whole number from {low} to {high}")
        return None

    def choice(self, name: str, choices: Mapping[str, T], default: T) -> T:
        """One of a few words."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, str) and value in choices:
            return choices[value]
        self.wrong(name, f"must be one of {', '.join(choices)}")
        return default

    def finish(self) -> None:
        """Raise Invalid if anything was wrong, was asked for but is not offered, or is not known."""
        for name in sorted(_ONLY.keys() & self._body.keys()):
            value = self.take(name)
            if value is not None and not any(_same(value, allowed) for allowed in _ONLY[name]):
                self.wrong(name, f"{json.dumps(value)[:80]} is not supported")
        for name in sorted(self._body.keys() - self._known):
            self.wrong(name, "is not a parameter of this call")
        if self._errors:
            names = ", ".join(error["field"] for error in self._errors[:10])
            raise Invalid(f"Not as the contract says: {names}.", errors=self._errors)


def _same(value: Any, allowed: Any) -> bool:
    """Equality that tells 1 from True and 0 from False."""
    return type(value) is type(allowed) and bool(value == allowed)


def json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {type(error).__name__}.") from error
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    return body


def at(fields: Fields, path: str) -> Callable[[str, str], None]:
    """A way to note faults below `path`."""
    return lambda name, message: fields.wrong(f"{path}.{name}" if name else path, message)


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8; JSON may spell half a surrogate pair, which cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
