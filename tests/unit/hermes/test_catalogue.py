"""The catalogue that ships: readable, honest about sizes, and made into orders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.contracts.models import ModelPull
from config.errors import UnknownModel
from hermes.catalogue import OVER_2GB, load_catalogue, parse_catalogue
from hermes.orders import order_for

CATALOGUE = load_catalogue()


def test_the_starters_are_small_verified_and_from_packages() -> None:
    starters = [entry for entry in CATALOGUE.entries.values() if entry.starter]
    assert [entry.name for entry in starters] == ["smollm2-135m-instruct", "gemma-3-270m"]
    for entry in starters:
        assert entry.source.startswith("pypi:")
        assert entry.sha256
        assert entry.size_bytes is not None
        assert entry.size_bytes < OVER_2GB


def test_the_users_own_two_are_marked_large() -> None:
    for name in ("mistral-7b-instruct", "neural-chat-7b"):
        entry = CATALOGUE.named(name)
        assert entry.over_2gb
        assert entry.source.startswith("https://")
        assert entry.licence


def test_an_order_by_name_knows_what_to_expect() -> None:
    order = order_for(ModelPull(name="smollm2-135m-instruct"), CATALOGUE)
    assert order.expected.size_bytes == 98_362_432
    assert order.entry is not None


def test_the_same_source_by_hand_is_the_same_order() -> None:
    by_name = order_for(ModelPull(name="gemma-3-270m"), CATALOGUE)
    by_source = order_for(ModelPull(source=CATALOGUE.named("gemma-3-270m").source), CATALOGUE)
    assert by_source == by_name


def test_a_hash_of_the_callers_own_outranks_the_catalogue() -> None:
    order = order_for(ModelPull(name="gemma-3-270m", sha256="A" * 64), CATALOGUE)
    assert order.expected.sha256 == "a" * 64
    assert order.expected.size_bytes is None


def test_an_unknown_name_is_404() -> None:
    with pytest.raises(UnknownModel):
        order_for(ModelPull(name="gpt-9"), CATALOGUE)


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    entry = CATALOGUE.named("gemma-3-270m").model_dump()
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({"models": [entry, entry]}))
    with pytest.raises(ValueError, match="twice"):
        load_catalogue(path)


def test_of_an_own_entry_name_and_source_suffice() -> None:
    own = parse_catalogue('{"models": [{"name": "mine", "source": "hf:ana/tiny:Q4_K_M", "size_bytes": 3000000000}]}')
    assert (own.named("mine").title, own.named("mine").over_2gb) == ("mine", True)
    assert own.of_source("hf:ana/tiny:Q4_K_M") == own.named("mine")


def test_an_own_entry_outranks_the_built_in_one() -> None:
    own = parse_catalogue('{"models": [{"name": "gemma-3-270m", "source": "https://h/m.gguf"}]}')
    both = CATALOGUE.with_own(own)
    assert both.named("gemma-3-270m").source == "https://h/m.gguf"
    assert len(both.entries) == len(CATALOGUE.entries)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"models": [7]}',
        '{"models": [{}]}',
        '{"models": [{"name": "x", "source": "gopher:x"}]}',
        '{"models": [{"name": "../x", "source": "hf:a/b:Q4_0"}]}',
        '{"models": [{"name": "x", "source": "hf:a/b:Q4_0", "size_bytes": "many"}]}',
    ],
)
def test_a_catalogue_that_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_catalogue(text)
