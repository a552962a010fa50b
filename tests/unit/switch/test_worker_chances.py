"""Chances are told with the text they belong to, whatever is held back."""

from hypothesis import given
from hypothesis import strategies as st

from switch.worker.chances import Chance, logprob
from switch.worker.sampling import Sampling
from switch.worker.sequence import Job, Sequence


def sequence(*stops: str, max_tokens: int = 50) -> Sequence:
    return Sequence(Job([1], Sampling(), stops, max_tokens, 0), seq_id=0, arrival=0, n_ctx=100)


def say(one: Sequence, piece: bytes, *, ends: bool = False) -> tuple[str, list[bytes]]:
    shown = one.accept(2, piece, ends=ends, chance=None if ends else Chance(piece, -1.0))
    return shown, [chance.piece for chance in one.told()]


def test_a_chance_comes_with_its_text() -> None:
    one = sequence()
    assert say(one, b"Hello") == ("Hello", [b"Hello"])
    assert say(one, b"", ends=True) == ("", [])


def test_the_parts_of_a_character_are_told_as_they_come() -> None:
    one = sequence()
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert say(one, first) == ("", [first])
    assert say(one, second) == ("é", [second])


def test_a_chance_waits_while_its_text_could_become_a_stop_string() -> None:
    one = sequence("END")
    assert say(one, b"aE") == ("a", [])
    assert say(one, b"N") == ("", [])
    assert say(one, b"x") == ("ENx", [b"aE", b"N", b"x"])


def test_what_belongs_to_a_stop_string_is_never_told() -> None:
    one = sequence("END")
    assert say(one, b"abE") == ("ab", [])
    assert say(one, b"ND") == ("", [b"abE"])


def test_a_cut_answer_tells_what_was_held_back() -> None:
    one = sequence("END", max_tokens=2)
    say(one, b"a")
    assert say(one, b"EN") == ("EN", [b"EN"])


@given(st.lists(st.sampled_from([b"a", b"E", b"N", b"D", b"\xc3", b"\xa9", b"EN"]), max_size=20))
def test_no_chance_is_told_twice_or_out_of_order(pieces: list[bytes]) -> None:
    one, told = sequence("END"), []
    for piece in pieces:
        if one.finish is None:
            told += say(one, piece)[1]
    assert told == pieces[: len(told)]


def test_what_is_impossible_has_a_number_that_json_can_spell() -> None:
    assert (logprob(0.0), logprob(1.0)) == (-9999.0, 0.0)
