"""Calls in what a model says: found however the text is cut, and text that only looks like one is shown."""

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.worker.tool_format import Format
from switch.worker.tool_reader import Argued, Called, CallReader, Delta, Said


def read(form: Format, pieces: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text and the calls (name, arguments) of an answer in pieces."""
    reader = CallReader(form, lambda: "id")
    deltas: list[Delta] = list(itertools.chain.from_iterable(map(reader.feed, pieces))) + reader.finish()
    text = ""
    calls: list[tuple[str, str]] = []
    for delta in deltas:
        if isinstance(delta, Said):
            text += delta.text
        elif isinstance(delta, Called):
            assert delta.at == len(calls)
            calls.append((delta.name, ""))
        else:
            calls[delta.at] = (calls[delta.at][0], calls[delta.at][1] + delta.arguments)
    return text, calls


HERMES = '<tool_call>\n{"name": "f", "arguments": {"a": "}]\\"<"}}\n</tool_call>'
CASES: list[tuple[Format, str, str, list[tuple[str, str]]]] = [
    (Format.HERMES, HERMES, "", [("f", '{"a": "}]\\"<"}')]),
    (Format.HERMES, f"I look.\n{HERMES}\n{HERMES}\n", "I look.", [("f", '{"a": "}]\\"<"}')] * 2),
    (Format.HERMES, "a < b, and <tool is no mark ", "a < b, and <tool is no mark ", []),
    (Format.HERMES, "<tool_call>nonsense", "<tool_call>nonsense", []),
    (Format.HERMES, '<tool_call>{"name": "f"', '<tool_call>{"name": "f"', []),
    (Format.HERMES, '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', "", [("f", '{"a": 1}')]),
    (Format.HERMES, '<tool_call>{"name": "f", "arguments": "{}"}</tool_call>', "", [("f", "{}")]),
    (Format.HERMES, '<tool_call>{"name": 5, "arguments": {}}</tool_call> x', '{"name": 5, "arguments": {}} x', []),
    (Format.HERMES, '<tool_call>{"name": "f", "arguments": {"a": [1', "", [("f", '{"a": [1')]),
    (Format.HERMES, "  plain  text \n", "  plain  text \n", []),
    (Format.LLAMA, ' {"name": "f", "parameters": {"a": 1}}', "", [("f", '{"a": 1}')]),
    (Format.LLAMA, '<|python_tag|>{"name": "f", "parameters": {}}', "", [("f", "{}")]),
    (Format.LLAMA, "No call {here}.", "No call {here}.", []),
    (Format.LLAMA, '{"colour": "red"}', '{"colour": "red"}', []),
    (Format.MISTRAL, '[TOOL_CALLS][{"name": "f", "arguments": {"a": [1]}}, {"name": "g", "arguments": {}}]', "",
     [("f", '{"a": [1]}'), ("g", "{}")]),
    (Format.MISTRAL, "see [TOOL", "see [TOOL", []),
    (Format.GENERIC, '{ "tool_calls": [ {"name": "f", "arguments": {"a": 1} }, {"name": "g", "arguments": {}}]} ', "",
     [("f", '{"a": 1}'), ("g", "{}")]),
    (Format.GENERIC, '{"response": "He said \\"hi\\"\\n\\u00e9\\ud83d\\ude00 \\\\"}', 'He said "hi"\né😀 \\', []),
    (Format.GENERIC, '{"response": "cut off \\ud83d', "cut off ", []),
    (Format.GENERIC, '{"response": {"a": [1, "}"]}}', '{"a": [1, "}"]}', []),
    (Format.GENERIC, '{"response": 42 }', "42", []),
    (Format.GENERIC, "I do not care for JSON.", "I do not care for JSON.", []),
]  # fmt: skip


@pytest.mark.parametrize(("form", "said", "text", "calls"), CASES)
def test_calls_and_text_are_told_apart(form: Format, said: str, text: str, calls: list[tuple[str, str]]) -> None:
    assert read(form, [said]) == (text, calls)
    assert read(form, list(said)) == (text, calls)


@given(st.data())
def test_the_cuts_change_nothing(data: st.DataObject) -> None:
    form, said, text, calls = data.draw(st.sampled_from(CASES))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(said)), max_size=8)) | {0, len(said)})
    assert read(form, [said[begin:end] for begin, end in itertools.pairwise(cuts)]) == (text, calls)


@given(
    st.sampled_from(list(Format)),
    st.lists(st.text(alphabet='{}[]":,\\ntu<>/tool_calsrepnm 1', max_size=12), max_size=8),
)
def test_nothing_that_a_model_says_breaks_the_reader(form: Format, pieces: list[str]) -> None:
    text, calls = read(form, pieces)
    assert len(text) <= len("".join(pieces))
    assert all(isinstance(name, str) for name, _ in calls)


def test_arguments_are_told_as_they_grow() -> None:
    reader = CallReader(Format.HERMES, lambda: "id")
    assert reader.feed('<tool_call>{"name": "f", "arguments": {"a"') == [Called(0, "id", "f"), Argued(0, '{"a"')]
    assert reader.feed(": 1") == [Argued(0, ": 1")]
    assert reader.feed("}}</tool_call>") == [Argued(0, "}")]
    assert (reader.finish(), reader.calls) == ([], 1)


@given(st.text(max_size=60))
def test_any_response_survives_its_quotes(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    for ascii_only in (True, False):
        said = json.dumps({"response": clean}, ensure_ascii=ascii_only)
        assert read(Format.GENERIC, list(said)) == (clean, [])
