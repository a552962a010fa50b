"""Which model a request means, and what it will need."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import BadRequest, Invalid, UnknownModel, VX11Error
from switch.choose import ModelFile, asked, chosen, context_of, need_mb

MIB = 2**20


def model(**changes: Any) -> ModelFile:
    given = {"size_bytes": 100 * MIB, "max_context": 2048, "kv_values_per_token": 23_040, **changes}
    return ModelFile(name="a", path="a.gguf", sha256="0" * 64, created=0, **given)


def test_a_request_is_the_json_object_of_its_body() -> None:
    assert asked(b'{"model": "a", "n": 1}') == {"model": "a", "n": 1}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"\xff\xfe", b"\x00", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000]
)
def test_any_other_body_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        asked(body)


def test_a_model_is_chosen_by_its_name() -> None:
    models = {"a": model(), "b": model()}
    assert chosen({"model": "b"}, models) is models["b"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"model": "A"}, UnknownModel),
        ({"model": "a "}, UnknownModel),
        ({}, Invalid),
        ({"model": ""}, Invalid),
        ({"model": 1}, Invalid),
        ({"model": {"a": 1}}, Invalid),
    ],
)
def test_no_other_model_takes_its_place(request_: dict[str, Any], error: type[VX11Error]) -> None:
    with pytest.raises(error):
        chosen(request_, {"a": model()})


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownModel) as caught:
        chosen({"model": "x"}, {"b": model(), "a": model()})
    assert caught.value.hint == "Enabled models: a, b."
    with pytest.raises(UnknownModel) as caught:
        chosen({"model": "x"}, {})
    assert caught.value.hint == "No model is enabled yet."


@pytest.mark.parametrize(("trained", "setting", "context"), [(2048, 4096, 2048), (8192, 4096, 4096), (0, 4096, 4096)])
def test_a_context_is_never_longer_than_the_model_was_trained_for(trained: int, setting: int, context: int) -> None:
    assert context_of(model(max_context=trained), setting) == context


def test_the_need_grows_with_the_file_and_with_the_context() -> None:
    small, long, large = need_mb(model(), 2048), need_mb(model(), 4096), need_mb(model(size_bytes=200 * MIB), 2048)
    kv_mb = 2048 * 23_040 * 2 / MIB  # two bytes a value
    assert small >= 100 + kv_mb
    assert long - small == pytest.approx(kv_mb, abs=1)
    assert large - small == 100


def test_where_the_header_does_not_tell_the_cache_s_size_a_share_of_the_file_stands_in() -> None:
    assert need_mb(model(kv_values_per_token=None), 2048) == need_mb(model(kv_values_per_token=0), 2048) + 25


def test_memory_for_saved_prompts_is_reserved() -> None:
    assert need_mb(model(), 2048, 64) == need_mb(model(), 2048) + 64
