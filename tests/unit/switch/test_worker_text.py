"""Text that may be shown: whole characters only, and never a part of a stop string."""

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.worker.text import StopMatcher, TextStream

alphabet = st.sampled_from("abXé😀\n")
texts = st.text(alphabet, max_size=40)
stop_lists = st.lists(st.text(alphabet, min_size=1, max_size=5), min_size=1, max_size=4)


def reference(text: str, stops: list[str]) -> tuple[str, bool]:
    """What should be shown, by reading one character at a time."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


def cut(raw: bytes, sizes: list[int]) -> list[bytes]:
    """`raw` in pieces of these sizes, the rest at the end."""
    pieces = []
    for size in sizes:
        pieces.append(raw[:size])
        raw = raw[size:]
    return [*pieces, raw]


def shown(stream: TextStream, pieces: list[bytes]) -> tuple[str, bool]:
    text = ""
    for piece in pieces:
        more, stopped = stream.feed(piece)
        text += more
        if stopped:
            return text, True
    return text + stream.rest(), False


def test_a_character_comes_when_it_is_whole() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([byte]))[0] for byte in "a😀".encode()] == ["a", "", "", "", "😀"]


def test_half_a_character_at_the_end_is_not_shown() -> None:
    stream = TextStream()
    assert shown(stream, [b"ok", "é".encode()[:1]]) == ("ok", False)


def test_bytes_that_are_no_text_are_marked() -> None:
    assert shown(TextStream(), [b"a\xffb"]) == ("a\ufffdb", False)


def test_what_may_become_a_stop_string_is_held_back() -> None:
    stream = TextStream(["END"])
    assert stream.feed(b"the E") == ("the ", False)
    assert stream.feed(b"N") == ("", False)
    assert stream.feed(b"G") == ("ENG", False)
    assert stream.feed(b" END and more") == (" ", True)


def test_of_stops_that_end_together_the_longest_is_cut() -> None:
    assert StopMatcher(["c", "abc"]).feed("xabc") == ("x", True)


def test_the_stop_that_ends_first_wins() -> None:
    assert StopMatcher(["abc", "b"]).feed("abc") == ("a", True)


@settings(deadline=None)
@given(texts, stop_lists, st.lists(st.integers(0, 4), max_size=30))
def test_what_is_shown_does_not_depend_on_the_cuts(text: str, stops: list[str], sizes: list[int]) -> None:
    assert shown(TextStream(stops), cut(text.encode(), sizes)) == reference(text, stops)


@settings(deadline=None)
@given(texts, stop_lists)
def test_nothing_shown_is_ever_taken_back(text: str, stops: list[str]) -> None:
    stream, so_far = TextStream(stops), ""
    wanted, _ = reference(text, stops)
    for character in text:
        more, stopped = stream.feed(character.encode())
        so_far += more
        assert wanted.startswith(so_far)
        if stopped:
            break


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 4), max_size=30))
def test_any_bytes_become_text_the_same_way_however_they_are_cut(raw: bytes, sizes: list[int]) -> None:
    assert shown(TextStream(), cut(raw, sizes)) == shown(TextStream(), [raw])


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 4), max_size=30))
def test_without_stops_everything_is_shown(text: str, sizes: list[int]) -> None:
    assert shown(TextStream(), cut(text.encode(), sizes)) == (text, False)
