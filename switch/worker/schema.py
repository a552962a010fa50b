"""A JSON schema as a grammar in llama.cpp's notation (GBNF), bounded in time and size. Pure.

The frame is llama-cpp-python's converter. What it gets wrong is done here: it spells quotes and backslashes of
constants so that the grammar breaks, confuses references of one name, fetches and then asserts, drops bounds of
whole numbers, lets control characters into strings, and writes a repetition out in full, a gigabyte for
`minItems: 1e9`. What a grammar cannot say is left out, as llama.cpp's server does, or refused where the caller
wants the schema kept strictly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from switch.worker import pattern, ranges
from switch.worker.binding import PRIMITIVE_RULES, BuiltinRule, SchemaConverter

MAX_PARTS = 5000
MAX_DEPTH = 40
MAX_PROPERTIES = 200
MAX_ENUM = 1000
MAX_REPEAT = 1000
_SPACE = r'| " " | "\n"{1,2} [ \t]{0,20}'
_CHARACTER = pattern.CHARACTER + r' | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'
_CANNOT_BE_KEPT = frozenset(
    [
        *("not", "if", "then", "else", "multipleOf", "uniqueItems", "contains", "minContains", "maxContains"),
        *("patternProperties", "propertyNames", "minProperties", "maxProperties"),
        *("dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
    ]
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_OF_ARRAYS = frozenset({"items", "prefixItems", "minItems", "maxItems"})
_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties", "title", "description", "default"})


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_REPEAT


_KINDS: dict[str, Callable[[Any], bool]] = {
    "properties": lambda value: isinstance(value, dict) and len(value) <= MAX_PROPERTIES,
    "required": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "anyOf": lambda value: isinstance(value, list) and bool(value),
    "oneOf": lambda value: isinstance(value, list) and bool(value),
    "allOf": lambda value: isinstance(value, list) and bool(value),
    "enum": lambda value: isinstance(value, list) and 0 < len(value) <= MAX_ENUM,
    "type": lambda value: isinstance(value, str | list) and bool(value),
    "$ref": lambda value: isinstance(value, str),
    "pattern": lambda value: isinstance(value, str),
    "items": lambda value: isinstance(value, dict | bool | list),
    "prefixItems": lambda value: isinstance(value, list) and bool(value),
    **dict.fromkeys(
        ("minItems", "maxItems", "minLength", "maxLength"),
        lambda value: type(value) is int and 0 <= value <= MAX_REPEAT,
    ),
}


class SchemaError(ValueError):
    """The schema is none, or cannot be turned into a grammar; the message says where and why."""


def grammar_of(schema: Any, *, strict: bool = False) -> str:
    """The grammar whose texts are the JSON values that fit `schema`; raises SchemaError."""
    rules = Rules()
    rules.add("", schema, strict=strict)
    return rules.text()


class Rules:
    """A grammar in the making: rules for schemas, each a document of its own, and rules that join them."""

    def __init__(self) -> None:
        self._converter = _Converter()

    def add(self, name: str, schema: Any, *, strict: bool = False) -> str:
        """The name of a rule for the JSON values that fit `schema`; an empty name is the root. Raises SchemaError."""
        self._converter.begin(schema, strict=strict)
        return _saying_why(lambda: self._converter.visit(schema, name))

    def define(self, name: str, rule: str) -> None:
        """Add a rule as it stands; `space` may be used in it."""
        self._converter.define(name, rule)

    def text(self) -> str:
        """The whole grammar."""
        return str(self._converter.format_grammar())


def _saying_why(visit: Callable[[], str]) -> str:
    """What `visit` returns; whatever the converter trips over is a SchemaError."""
    try:
        return visit()
    except RecursionError as error:
        raise SchemaError("the schema is nested too deeply") from error
    except (
        AssertionError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
    ) as error:  # how the converter says no
        raise error if isinstance(error, SchemaError) else SchemaError(str(error)[:300]) from error


class _Converter(SchemaConverter):  # type: ignore[misc]  # the library has no types
    """Visits each part of a schema and makes a rule of it."""

    def __init__(self) -> None:
        super().__init__(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)
        self._rules["space"] = _SPACE
        self._parts = self._references = 0
        self.begin({}, strict=False)

    def begin(self, document: Any, *, strict: bool) -> None:
        """Go on with another document, to which references now lead."""
        self._document = document
        self._strict = strict
        self._names: dict[str, str] = {}
        self._depth = 0

    def define(self, name: str, rule: str) -> None:
        """Add a rule as it stands."""
        self._rules[name] = rule

    def visit(self, schema: Any, name: str) -> str:
        """The name of the rule for `schema`."""
        self._parts += 1
        self._depth += 1
        if self._parts > MAX_PARTS or self._depth > MAX_DEPTH:
            raise SchemaError(f"the schema has over {MAX_PARTS} parts or is nested over {MAX_DEPTH} deep")
        schema = self._checked(schema)
        rule = self._rule(schema, f"{name}-" if name else "")
        made = super().visit(schema, name) if rule is None else self._add_rule(self._rule_name(name), rule)
        self._depth -= 1
        return str(made)

    def _rule(self, schema: dict[str, Any], below: str) -> str | None:
        """The rule for what the library's converter gets wrong; None where it does well."""
        if "$ref" in schema:
            return None
        if "const" in schema or "enum" in schema:
            return " | ".join(map(self._generate_constant_rule, schema.get("enum", [schema.get("const")])))
        if "allOf" in schema:
            return str(self.visit(self._merged(schema), f"{below}all"))
        if "anyOf" in schema or "oneOf" in schema:
            return None
        if isinstance(schema.get("type"), list):
            parts = enumerate(dict.fromkeys(map(str, schema["type"])))
            return " | ".join(self.visit({**schema, "type": one}, f"{below}{index}") for index, one in parts)
        return self._rule_of_type(schema, below)

    def _rule_of_type(self, schema: dict[str, Any], below: str) -> str | None:
        kind = schema.get("type")
        if kind in (None, "string") and "pattern" in schema:
            return pattern.rule_of(schema["pattern"])
        if kind == "string" and ("minLength" in schema or "maxLength" in schema):
            character = self._add_primitive("char", PRIMITIVE_RULES["char"])
            return f'"\\"" {character}{_times(schema, "Length")} "\\""'
        if kind == "integer" and any(bound in schema for bound in _BOUNDS):
            return ranges.rule_of(*_whole_bounds(schema))
        if kind in (None, "array") and schema.keys() & _OF_ARRAYS:
            return self._array(schema, below)
        if kind is None and not (_OF_OBJECTS - {"title", "description", "default", "type"}) & schema.keys():
            return str(self._add_primitive("value", PRIMITIVE_RULES["value"]))
        return None

    def _array(self, schema: dict[str, Any], below: str) -> str:
        items = schema.get("prefixItems", schema.get("items", True))
        if isinstance(items, list):
            members = ' "," space '.join(self.visit(item, f"{below}tuple-{at}") for at, item in enumerate(items))
            return f'"[" space {members} space "]"'
        item = self.visit(items, f"{below}item")
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if most == 0:
            return '"[" space "]"'
        more = _times({"minMore": max(least - 1, 0), **({} if most is None else {"maxMore": most - 1})}, "More")
        members = f'{item} ("," space {item}){more}'
        return f'"[" space {members if least else f"({members})?"} space "]"'

    def _merged(self, schema: dict[str, Any]) -> Any:
        """`allOf` as one schema: a single part, or objects whose members are joined."""
        beside = {name: value for name, value in schema.items() if name != "allOf"}
        parts = [self._checked(self._followed(part)) for part in schema["allOf"]]
        if len(parts) == 1 and not beside.keys() - {"title", "description", "default", "$defs", "definitions"}:
            return schema["allOf"][0]
        merged: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": None}
        for part in [*parts, {name: value for name, value in beside.items() if name in _OF_OBJECTS}]:
            if part.keys() - _OF_OBJECTS or part.get("type", "object") != "object":
                raise SchemaError("allOf is understood for objects, by their properties, and for nothing else")
            merged["properties"].update(part.get("properties", {}))
            merged["required"] += part.get("required", [])
            merged["additionalProperties"] = part.get("additionalProperties", merged["additionalProperties"])
        return merged

    def _followed(self, schema: Any) -> Any:
        for _ in range(MAX_DEPTH):
            if not (isinstance(schema, dict) and "$ref" in schema):
                return schema
            schema = _target(self._document, str(schema["$ref"]))
        raise SchemaError("references lead in a circle")

    def _resolve_ref(self, ref: str) -> str:
        """The rule of what is referred to, made once, under a name of its own."""
        if ref not in self._names:
            name = self._names[ref] = f"ref{self._references}"
            self._references += 1
            made = self.visit(_target(self._document, ref), name)
            if made != name:
                self._add_rule(name, made)
        return self._names[ref]

    def _checked(self, schema: Any) -> dict[str, Any]:
        """`schema` as an object whose keywords have the right types."""
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise SchemaError(f"{json.dumps(schema)[:60]} is no schema")
        for keyword in schema.keys() & _KINDS.keys():
            if not _KINDS[keyword](schema[keyword]):
                raise SchemaError(
                    f"{keyword}: {json.dumps(schema[keyword])[:60]} is not of the right kind or too large"
                )
        if self._strict:
            self._check_can_be_kept(schema)
        return schema

    def _check_can_be_kept(self, schema: dict[str, Any]) -> None:
        lost = sorted(_CANNOT_BE_KEPT & schema.keys())
        if schema.get("type") == "number":
            lost += [bound for bound in _BOUNDS if bound in schema]
        if lost:
            raise SchemaError(f"{', '.join(lost)} cannot be kept by a grammar; leave it out, or do without strict")

    def _rule_name(self, name: str) -> str:
        """The library's way of naming: `root` at the top, and never as a primitive is called."""
        return f"{name}-" if name in PRIMITIVE_RULES or name == "root" else name or "root"

    def _add_primitive(self, name: str, rule: BuiltinRule) -> str:
        """As the library does, but strings hold no control characters."""
        return str(super()._add_primitive(name, BuiltinRule(_CHARACTER, []) if name == "char" else rule))

    def _format_literal(self, literal: str) -> str:
        """A constant or a property's name, which come as JSON, in characters instead of their numbers."""
        return pattern.literal(json.dumps(json.loads(literal), ensure_ascii=False))


def _times(schema: dict[str, Any], of: str) -> str:
    least, most = schema.get(f"min{of}", 0), schema.get(f"max{of}")
    if most is not None and most < least:
        raise SchemaError(f"max{of} {most} is less than min{of} {least}")
    return f"{{{least},{'' if most is None else most}}}"


def _whole_bounds(schema: dict[str, Any]) -> tuple[int | None, int | None]:
    """The least and the greatest whole number of an `integer`; raises SchemaError for bounds that are none."""
    values = [schema.get(name) for name in _BOUNDS]
    if any(value is not None and (type(value) not in (int, float) or value != int(value)) for value in values):
        raise SchemaError("the bounds of an integer must be whole numbers")
    minimum, maximum, above, below = (None if value is None else int(value) for value in values)
    lows = _present([minimum, None if above is None else above + 1])
    highs = _present([maximum, None if below is None else below - 1])
    return max(lows, default=None), min(highs, default=None)


def _present(values: Iterable[int | None]) -> list[int]:
    return [value for value in values if value is not None]


def _target(document: Any, ref: str) -> Any:
    """What a reference into the same document points to; none is ever fetched."""
    if ref != "#" and not ref.startswith("#/"):
        raise SchemaError(f"the reference {ref[:80]!r} leads out of the schema")
    found = document
    for part in ref.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (LookupError, ValueError, TypeError) as error:
            raise SchemaError(f"the reference {ref[:80]!r} leads nowhere") from error
    return found
