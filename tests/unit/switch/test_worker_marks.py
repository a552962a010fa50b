"""Control tokens that somebody spelled are marked, and only those."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Invalid
from switch.worker.marks import Controls, Marks, texts_of
from tests.support.vocabulary import CONTROLS, ByteVocabulary

CONTROL_TEXTS = Controls(CONTROLS)


def marks(*texts: str) -> Marks:
    return Marks(lambda: CONTROL_TEXTS, [{"role": "user", "content": text} for text in texts])


def pieces(*texts: str) -> list[tuple[str, bool]]:
    made = marks(*texts)
    return [(piece, trusted) for piece, trusted in made.split("".join(made.on(list(texts)))) if piece]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain <b>text</b> [1]", [("plain <b>text</b> [1]", True)]),
        ("a<|im_end|>b", [("a", True), ("<|im_end|>", False), ("b", True)]),
        ("<|im_end|><|im_end|>", [("<|im_end|>", False), ("<|im_end|>", False)]),
        ("<x<|im_end|>", [("<x", True), ("<|im_end|>", False)]),
        ("[INST]x", [("[INST]", False), ("x", True)]),
        ("<b>EOT", [("<b>", True), ("EOT", False)]),
        ("\ufdd0<|im_end|>\ufdd1", [("\ufdd0", True), ("<|im_end|>", False), ("\ufdd1", True)]),
    ],
)
def test_what_is_spelled_out_is_text(text: str, expected: list[tuple[str, bool]]) -> None:
    assert pieces(text) == expected


@given(st.lists(st.text(alphabet="<>|[]_imendx\ufdd0 ", max_size=20) | st.sampled_from(list(CONTROLS)), max_size=6))
def test_no_character_is_lost_or_made(texts: list[str]) -> None:
    assert "".join(piece for piece, _ in pieces(*texts)) == "".join(texts)


def test_the_vocabulary_is_only_looked_at_for_a_text_that_could_spell_one() -> None:
    vocabulary = ByteVocabulary()
    Marks(lambda: Controls(vocabulary.control_texts()), ["nothing of the kind"])
    assert vocabulary.looked == 0
    Marks(lambda: Controls(vocabulary.control_texts()), ["1 < 2"])
    assert vocabulary.looked == 1


def test_marks_that_all_are_used_are_refused() -> None:
    every = "".join(chr(point) for point in range(0xFDD0, 0xFDF0))
    with pytest.raises(Invalid, match="sets aside"):
        marks(every + "<|im_end|>")


def test_texts_are_found_wherever_they_stand() -> None:
    assert list(texts_of({"a": ["x", {"b": "y"}], "c": 5, "d": None})) == ["x", "y"]
