"""JSON schemas as grammars: what llama.cpp takes of them and what it refuses, with a real vocabulary."""

import json

import pytest

from switch.worker.schema import MAX_PROPERTIES, SchemaError, grammar_of
from tests.support.grammar import Judge

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
        }
    },
    "$ref": "#/$defs/node",
}
TWO_OF_ONE_NAME = {
    "$defs": {"a": {"x": {"type": "integer"}}, "b": {"x": {"type": "string"}}},
    "type": "array",
    "prefixItems": [{"$ref": "#/$defs/a/x"}, {"$ref": "#/$defs/b/x"}],
}
ALL = {
    "allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}],
    "$defs": {"a": PERSON},
}

CASES: list[tuple[object, list[object], list[object]]] = [
    ({}, [1, "x", None, [1], {"a": {}}], []),
    (True, [1, []], []),
    (PERSON, [{"name": "Ann", "age": 150}, {"name": 'O"Hara \\ é 😀\n', "age": 0}], [{"name": "A", "age": 151}, {}]),
    (TREE, [{"value": 1, "next": {"value": 2, "next": None}}], [{"value": 1}]),
    (TWO_OF_ONE_NAME, [[1, "a"]], [["a", 1], [1, 1]]),
    (ALL, [{"name": "A", "age": 1, "b": None}], [{"name": "A", "age": 1}]),
    ({"$ref": "#/items", "items": {"type": "boolean"}}, [True], [1]),
    ({"type": "array", "items": {"$ref": "#"}}, [[], [[], [[]]]], [1, [1]]),
    ({"enum": ['say "hi"', "back\\slash", "é", 1, None, {"a": [1]}]}, ['say "hi"', "back\\slash", "é", 1, None], ["e"]),
    ({"const": {"a": 'b"'}}, [{"a": 'b"'}], [{"a": "b"}]),
    ({"type": ["string", "null"]}, ["x", None], [1]),
    ({"type": ["string", "null"], "enum": ["a", None]}, ["a", None], ["b"]),
    ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, [1, True], ["x"]),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        [[1, 2], [1, 2, 3]],
        [[1], [1] * 4],
    ),
    ({"type": "array", "maxItems": 0}, [[]], [[1]]),
    ({"type": "array", "items": {"type": "null"}, "maxItems": 1}, [[], [None]], [[None, None]]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "a\n😀"], ["a", "abcd"]),
    ({"type": "string", "pattern": "^[a-z]{2}-\\d+$"}, ["ab-12"], ["ab-", "abc-1", "x ab-1"]),
    ({"type": "string", "pattern": "b+"}, ["b", "abba"], ["a", ""]),
    ({"type": "string", "pattern": '^("|\\\\|[^a])$'}, ['"', "\\", "b"], ["a", "bb"]),
    ({"type": "string", "format": "date"}, ["2026-02-28"], ["2026-13-01", "today"]),
    ({"type": "string", "format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"], ["123"]),
    ({"type": "string", "format": "email"}, ["what a format we do not know may be"], [1]),
    ({"type": "integer", "exclusiveMinimum": -5, "maximum": 10}, [-4, 0, 10], [-5, 11]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"a": 1, "b": 2}, {}], [{"a": "x"}]),
    ({"type": "object", "properties": {}, "additionalProperties": False}, [{}], [{"a": 1}]),
    ({"type": "object", "properties": {"a": {}, "b": {}}}, [{}, {"a": 1}, {"b": [1]}, {"a": 1, "b": 2}], [{"c": 1}]),
    (
        {"type": "object", "properties": {"$ref": {"type": "integer"}, "é": {}}},
        [{"$ref": 1}, {"é": 1}],
        [{"$ref": "x"}],
    ),
    ({"type": "object"}, [{"any": [{"thing": 1}]}], [1]),
    ({"type": "number"}, [1.5, -2e10, 0], ["x"]),
]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.mark.parametrize(("schema", "fitting", "unfitting"), CASES)
def test_a_grammar_takes_what_fits_and_nothing_else(
    judge: Judge, schema: object, fitting: list[object], unfitting: list[object]
) -> None:
    grammar = grammar_of(schema, strict=True)
    for value in fitting:
        assert judge.takes(grammar, json.dumps(value, ensure_ascii=False)), (value, grammar)
    for value in unfitting:
        assert not judge.takes(grammar, json.dumps(value, ensure_ascii=False)), (value, grammar)


def test_a_string_is_one_of_json(judge: Judge) -> None:
    grammar = grammar_of({"type": "string"})
    assert not judge.takes(grammar, '"a\nb"')
    assert not judge.takes(grammar, '"a" and more')


def test_the_largest_schema_is_still_taken(judge: Judge) -> None:
    many = {f"property {number}": {"type": "string", "maxLength": 1000} for number in range(MAX_PROPERTIES)}
    grammar = grammar_of({"type": "object", "properties": many, "required": list(many)[::2]})
    assert judge.compiles(grammar)


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}]}, {"anyOf": [{"$ref": "#"}, {"type": "null"}]}]
)
def test_what_never_begins_is_refused_by_llama_cpp(judge: Judge, schema: object) -> None:
    assert not judge.compiles(grammar_of(schema))


def nested(depth: int) -> object:
    return {"type": "array", "items": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (5, "is no schema"),
        ({"type": "colour"}, "colour"),
        ({"properties": []}, "properties"),
        ({"properties": {"a": 5}}, "is no schema"),
        ({"properties": {str(number): {} for number in range(MAX_PROPERTIES + 1)}}, "properties"),
        ({"type": "object", "properties": {"a": {}}, "required": "a"}, "required"),
        ({"enum": []}, "enum"),
        ({"anyOf": {}}, "anyOf"),
        ({"type": "array", "items": {}, "minItems": 10**9}, "minItems"),
        ({"type": "string", "maxLength": 10**9}, "maxLength"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, "less than"),
        ({"type": "string", "pattern": "a{100000}"}, "repeats"),
        ({"type": "string", "pattern": "(?=a)b"}, "assert"),
        ({"type": "string", "pattern": "(a)\\1"}, "groupref"),
        ({"type": "string", "pattern": "("}, "no regular expression"),
        ({"type": "string", "pattern": "a" * 2000}, "characters"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "between"),
        ({"type": "integer", "minimum": 0.5}, "whole numbers"),
        ({"type": "integer", "minimum": float("inf")}, "infinity"),
        ({"type": "integer", "maximum": 10**30}, "digits"),
        ({"$ref": "https://example.com/x.json"}, "leads out"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        ({"allOf": [{"$ref": "#/a"}, {}], "a": {"$ref": "#/a"}}, "circle"),
        ({"allOf": [{"type": "string"}, {"minLength": 2}]}, "allOf"),
        (nested(100), "deep"),
    ],
)
def test_what_is_no_schema_for_a_grammar_is_refused_with_the_reason(schema: object, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        grammar_of(schema)


def test_only_a_strict_schema_is_refused_for_what_cannot_be_kept() -> None:
    schema = {"type": "number", "minimum": 0}
    assert grammar_of(schema) == grammar_of({"type": "number"})
    with pytest.raises(SchemaError, match="minimum"):
        grammar_of(schema, strict=True)
    with pytest.raises(SchemaError, match="uniqueItems"):
        grammar_of({"type": "array", "items": {}, "uniqueItems": True}, strict=True)
