"""Templates of programs: a value is one argument or a part of one, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Invalid, TooLarge
from config.programs import MAX_ARGUMENT_BYTES, argv_of, call_of, placeholders_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=200)


@given(TEXTS, TEXTS)
def test_a_value_neither_splits_an_argument_nor_becomes_an_option(prompt: str, model: str) -> None:
    template = ["tool", "--model={model}", "-p", "{prompt}"]
    argv = argv_of(template, {"prompt": prompt, "model": model})
    assert argv[:3] == ["tool", f"--model={model}", "-p"]
    assert argv[3].lstrip(" ") == prompt.lstrip(" ")
    assert not argv[3].startswith("-")


@given(TEXTS)
def test_a_value_is_not_looked_into_for_placeholders(text: str) -> None:
    assert argv_of(["tool", "x{prompt}"], {"prompt": "{model}" + text}) == ["tool", "x{model}" + text]


def test_the_words_of_a_template_are_known() -> None:
    assert placeholders_of(["tool", "--model={model}", "{prompt}", "{}", "{Not}"]) == {"model", "prompt"}


def test_braces_that_are_no_placeholder_stay() -> None:
    assert argv_of(["tool", '{"a": 1}', "{}"], {}) == ["tool", '{"a": 1}', "{}"]


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_what_no_argument_can_hold_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        argv_of(["tool", "{prompt}"], {"prompt": value})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Invalid, match="'model'"):
        argv_of(["tool", "{model}"], {"prompt": "hi"})


def test_an_argument_is_as_long_as_the_kernel_takes() -> None:
    assert len(argv_of(["{prompt}"], {"prompt": "x" * MAX_ARGUMENT_BYTES})[0]) == MAX_ARGUMENT_BYTES
    with pytest.raises(TooLarge):
        argv_of(["{prompt}"], {"prompt": "ü" * (MAX_ARGUMENT_BYTES // 2 + 1)})


def test_a_prompt_goes_where_the_template_has_room_for_it() -> None:
    template, options = ["copilot", "-s", "{model_options}", "-p", "{prompt}"], ["--model={model}"]
    call = call_of("/bin/copilot", template, options, prompt="hi", model="gpt")
    assert (call.argv, call.stdin) == (["/bin/copilot", "-s", "--model=gpt", "-p", "hi"], None)
    call = call_of("/bin/copilot", template, options, prompt="{model}", model=None)
    assert call.argv == ["/bin/copilot", "-s", "-p", "{model}"]


def test_a_template_without_a_prompt_reads_it_from_stdin() -> None:
    call = call_of("/bin/llm", ["llm", "{model_options}"], ["-m", "{model}"], prompt="-é", model="-x")
    assert (call.argv, call.stdin) == (["/bin/llm", "-m", " -x"], "-é".encode())
