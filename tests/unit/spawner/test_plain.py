"""What daughters name and tools say, as tables and answers can hold it."""

from __future__ import annotations

import json
import os

from hypothesis import given
from hypothesis import strategies as st

from spawner.plain import as_many_as_fit, plain, plain_json, plain_name


@given(st.binary(min_size=1).filter(lambda name: b"/" not in name))
def test_any_name_that_a_file_may_have_can_be_answered_with(name: bytes) -> None:
    shown = plain_name(os.fsdecode(name))
    assert shown.encode()
    assert "\x00" not in shown


def test_bytes_that_are_no_utf_8_are_spelt_out_and_the_rest_is_left() -> None:
    assert plain_name(os.fsdecode(b"a\xff/\xc3\xb1.txt")) == "a\\xff/ñ.txt"
    assert plain("half \ud800 and \x00, ñ") == "half \\ud800 and \\x00, ñ"


def test_text_within_a_value_is_made_plain_wherever_it_is() -> None:
    value = {"a\x00": ["\ud800", {"b": ("\x00", 1, None, True)}], "n": 1.5}
    assert plain_json(value) == {"a\\x00": ["\\ud800", {"b": ["\\x00", 1, None, True]}], "n": 1.5}


def test_a_list_of_files_has_an_end_and_says_how_many_are_missing() -> None:
    few = [{"path": str(number), "change": "added"} for number in range(1000)]
    assert as_many_as_fit(few) == (few, 0)
    assert as_many_as_fit([*few, *few]) == (few, 1000)
    long = [{"path": f"{number}{'n' * 4000}", "change": "added"} for number in range(200)]
    kept, more = as_many_as_fit(long)
    assert len(kept) + more == 200
    assert 250 * 1024 < len(json.dumps(kept)) <= 256 * 1024
