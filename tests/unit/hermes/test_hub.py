"""The Hub's addresses, listings and secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import BadPeer, Invalid, NotFound
from hermes.hub import Hub, HubFile, chosen, commit_in, files_in, repositories_in
from hermes.sources import HubSource, default_name, parse_source

HUB = Hub("https://hub.example/base", "hf_secret")
SOURCE = HubSource("ana/tiny", None, None, "Q4_K_M")
KEYS = ["path", "type", "size", "lfs", "oid", "id", "tags", "downloads", "gated", "sha"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


def named(*paths: str) -> list[HubFile]:
    return [HubFile(path, 10, None) for path in paths]


def test_the_token_is_for_the_hubs_own_host() -> None:
    assert HUB.headers_for("https://hub.example/ana/tiny/resolve/x/m.gguf") == {"authorization": "Bearer hf_secret"}
    assert HUB.headers_for("https://hub.example:443/x") != {}
    for other in (
        "https://cdn.example/x",
        "http://hub.example/x",
        "https://hub.example:444/x",
        "https://hub.example.evil/x",
        "https://evil/?https://hub.example",
    ):
        assert HUB.headers_for(other) == {}
    assert Hub("https://hub.example").headers_for("https://hub.example/x") == {}


def test_addresses_hold_names_as_they_are_and_nothing_more() -> None:
    source = HubSource("ana/tiny", "v 1/é", "sub dir/m.gguf", None)
    assert HUB.revision_url(source) == "https://hub.example/base/api/models/ana/tiny/revision/v%201%2F%C3%A9"
    assert HUB.tree_url(source, "c0") == "https://hub.example/base/api/models/ana/tiny/tree/c0/sub%20dir"
    assert HUB.tree_url(SOURCE, "c0").endswith("/tree/c0?recursive=true")
    assert HUB.file_url(source, "c0", "a?#/m.gguf").endswith("/ana/tiny/resolve/c0/a%3F%23/m.gguf")
    assert "search=a%26b" in HUB.search_url("a&b", 3)


def _is_read_or_refused(read: Callable[[Any], object], answer: Any) -> bool:
    try:
        return read(answer) is not None
    except BadPeer as refused:
        return bool(refused.detail)


@given(JSON)
def test_no_answer_breaks_the_reading(answer: Any) -> None:
    assert all(_is_read_or_refused(read, answer) for read in (commit_in, files_in, repositories_in))


@given(st.text(max_size=40))
def test_a_listed_name_is_plain_or_passed_over(name: str) -> None:
    for file in files_in([{"type": "file", "path": f"{name}.gguf", "size": 1}]):
        assert not {"", ".", ".."} & set(file.path.split("/"))
        assert "\\" not in file.path


@pytest.mark.parametrize(
    ("path", "quantisation"),
    [
        ("Tiny-1B-Q4_K_M.gguf", "Q4_K_M"),
        ("tiny.q8_0.gguf", "Q8_0"),
        ("sub/tiny-IQ3_XXS.gguf", "IQ3_XXS"),
        ("Tiny-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("tiny-BF16-00001-of-00003.gguf", "BF16"),
        ("Q4_K_M/tiny.gguf", None),
        ("tinyQ4_K_M.gguf", None),
    ],
)
def test_the_quantisation_stands_at_the_end_of_a_name(path: str, quantisation: str | None) -> None:
    assert HubFile(path, 1, None).quantisation == quantisation


def test_one_file_of_a_quantisation_is_chosen() -> None:
    files = named("t-Q4_K_M.gguf", "t-Q4_K_S.gguf", "mmproj-t-Q4_K_M.gguf", "t-Q4_K_M-00001-of-00002.gguf")
    assert chosen(files, SOURCE).path == "t-Q4_K_M.gguf"
    assert chosen(named("t-UD-Q4_K_M.gguf"), SOURCE).path == "t-UD-Q4_K_M.gguf"
    assert chosen(named("t-UD-Q4_K_M.gguf", "t-Q4_K_M.gguf"), SOURCE).path == "t-Q4_K_M.gguf"


def test_where_none_or_several_fit_the_choice_is_left_to_the_person() -> None:
    with pytest.raises(Invalid, match="several files"):
        chosen(named("a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), SOURCE)
    with pytest.raises(Invalid, match="shards"):
        chosen(named("t-Q4_K_M-00001-of-00002.gguf"), SOURCE)
    with pytest.raises(NotFound) as none:
        chosen(named("t-Q8_0.gguf"), SOURCE)
    assert none.value.hint == "It has: Q8_0."


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf:ana/tiny:q4_k_m", SOURCE),
        ("hf:ana/tiny@v1:Q4_K_M", HubSource("ana/tiny", "v1", None, "Q4_K_M")),
        ("hf:ana/tiny/m.gguf", HubSource("ana/tiny", None, "m.gguf", None)),
        ("HF:ana/tiny@main/sub/M.GGUF", HubSource("ana/tiny", "main", "sub/M.GGUF", None)),
    ],
)
def test_sources_of_the_hub(text: str, source: HubSource) -> None:
    assert parse_source(text) == source
    assert parse_source(str(source)) == source


@pytest.mark.parametrize(
    "text",
    [
        "hf:",
        "hf:ana",
        "hf:ana/tiny",
        "hf:ana/tiny/m.bin",
        "hf:ana/tiny/../m.gguf",
        "hf:ana/tiny//m.gguf",
        "hf:ana/../m.gguf:Q4_0",
        "hf:ana/tiny:Q4-0",
        "hf:ana/tiny@:Q4_0",
        "hf:-ana/tiny:Q4_0",
        "hf:ana/ti--ny:Q4_0",
        "hf:ana/tiny/a\\m.gguf",
        "hf:https://evil/x.gguf",
    ],
)
def test_what_is_no_source_of_the_hub(text: str) -> None:
    with pytest.raises(Invalid):
        parse_source(text)


@given(st.from_regex(r"hf:[\x20-\x7e]{0,60}", fullmatch=True))
def test_whatever_is_parsed_means_itself_again_and_has_a_safe_name(text: str) -> None:
    try:
        source = parse_source(text)
    except Invalid:
        return
    assert parse_source(str(source)) == source
    assert "/" not in default_name(source)


def test_names_and_revisions() -> None:
    assert default_name(parse_source("hf:ana/Tiny-1B-GGUF:Q4_K_M")) == "tiny-1b-q4_k_m"
    assert parse_source("hf:ana/tiny:Q4_0", "v1") == parse_source("hf:ana/tiny@v1:Q4_0")
    with pytest.raises(Invalid, match="another revision"):
        parse_source("hf:ana/tiny@v2:Q4_0", "v1")
