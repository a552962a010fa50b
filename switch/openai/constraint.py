"""`response_format` and llama.cpp's `grammar`: what an answer must look like. Bounds are checked here, meaning is not.

Whether a schema can be turned into a grammar is found out by the worker, which holds the library for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from switch.openai.fields import Fields, is_unicode

MAX_SCHEMA_BYTES = 256 << 10
MAX_GRAMMAR_BYTES = 64 << 10
MAX_GRAMMAR_DEPTH = 100  # llama.cpp reads brackets recursively, on the stack of a thread
ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Constraint:
    """Either a JSON `schema` (to be kept strictly or as far as a grammar can) or a `grammar` in llama.cpp's notation.

    `field` is the member of the body that asked for it, for whoever finds out that it cannot be kept.
    """

    field: str
    schema: Any = None
    strict: bool = False
    grammar: str = ""


def constraint_of(fields: Fields) -> Constraint | None:
    """Read both members; at most one of them may ask for something."""
    formed, ruled = _response_format(fields), _grammar(fields)
    if formed and ruled:
        fields.wrong("grammar", "does not go together with response_format")
    return formed or ruled


def too_large(schema: Any) -> bool:
    """Whether a schema, written down, is over the bound."""
    return len(json.dumps(schema)) > MAX_SCHEMA_BYTES


def _response_format(fields: Fields) -> Constraint | None:
    value = fields.take("response_format")
    kind = value.get("type") if isinstance(value, dict) else None
    if value is None or kind == "text":
        return None
    if kind == "json_object":
        return _schema(fields, "response_format.schema", value.get("schema", ANY_OBJECT), strict=False)
    if kind != "json_schema":
        fields.wrong("response_format", "must be an object of type text, json_object or json_schema")
        return None
    described = value.get("json_schema")
    if not isinstance(described, dict):
        fields.wrong("response_format.json_schema", "must be an object with a schema")
        return None
    strict = described.get("strict")
    if not (strict is None or isinstance(strict, bool)):
        fields.wrong("response_format.json_schema.strict", "must be true or false")
    schema = described.get("schema", ANY_OBJECT)
    return _schema(fields, "response_format.json_schema.schema", schema, strict=bool(strict))


def _schema(fields: Fields, field: str, schema: Any, *, strict: bool) -> Constraint | None:
    if not isinstance(schema, dict):
        fields.wrong(field, "must be an object")
    elif too_large(schema):
        fields.wrong(field, f"is over {MAX_SCHEMA_BYTES} bytes")
    else:
        return Constraint(field=field, schema=schema, strict=strict)
    return None


def _grammar(fields: Fields) -> Constraint | None:
    value = fields.take("grammar")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not is_unicode(value) or "\0" in value:
        fields.wrong("grammar", "must be text in llama.cpp's notation, without null characters")
    elif len(value) > MAX_GRAMMAR_BYTES:
        fields.wrong("grammar", f"is over {MAX_GRAMMAR_BYTES} bytes")
    elif _depth(value) > MAX_GRAMMAR_DEPTH:
        fields.wrong("grammar", f"nests brackets over {MAX_GRAMMAR_DEPTH} deep")
    else:
        return Constraint(field="grammar", grammar=value)
    return None


def _depth(grammar: str) -> int:
    """The most brackets that can be open at once; those in quotes count too, which errs on the safe side."""
    depth = deepest = 0
    for character in grammar:
        if character in "()":
            depth = depth + 1 if character == "(" else max(depth - 1, 0)
            deepest = max(deepest, depth)
    return deepest
