"""The providers' file: what it may say, and how it says no."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import Invalid
from switch.adapters.declarations import Declarations
from switch.budgets import Budget, Prices
from switch.declared import parse_declared

GOOD = """
[providers.deepseek]
url = "https://api.example.org/v1/"
api_key = "sk-of-the-tests-1234567890"
models = ["deepseek-chat"]
price_in = 0.27
price_out = 1.1
budget_day = 1
budget_month = 10.0

[providers.llama]
url = "http://127.0.0.1:8080/v1"
"""


def test_a_good_file() -> None:
    found = parse_declared(GOOD)
    deepseek, llama = found["deepseek"], found["llama"]
    assert deepseek.url == "https://api.example.org/v1"
    assert deepseek.models == ("deepseek-chat",)
    assert deepseek.prices == Prices(0.27, 1.1)
    assert deepseek.budget == Budget(1.0, 10.0)
    assert (llama.models, llama.prices, llama.budget, llama.api_key) == (None, None, Budget(), None)


BAD = [
    ("[providers", "not TOML"),
    ("x = 1", "x: Extra inputs"),
    ('[providers.a]\nurl = "ftp://x"', "http or https"),
    ('[providers.a]\nurl = "http://user:word@x"', "belongs into api_key"),
    ('[providers.a]\nurl = "http://x?key=1"', "without query"),
    ("[providers.a]", "providers.a.url: Field required"),
    ('[providers.a]\nurl = "http://x"\nkey = "y"', "providers.a.key: Extra"),
    ('[providers.a]\nurl = "http://x"\napi_key = " y"', "plain ASCII"),
    ('[providers.a]\nurl = "http://x"\napi_key = ""', "plain ASCII"),
    ('[providers.a]\nurl = "http://x"\nprice_in = -1', "greater than or equal"),
    ('[providers.a]\nurl = "http://x"\nprice_in = nan', "finite"),
    ('[providers.a]\nurl = "http://x"\nbudget_day = 1', "no prices"),
    ('[providers.a]\nurl = "http://x"\nstall_sec = 0', "greater than 0"),
    ('[providers.local]\nurl = "http://x"', "cannot be the name"),
    ('[providers."a b"]\nurl = "http://x"', "cannot be the name"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_file_is_told_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(Invalid) as found:
        parse_declared(text)
    assert said in found.value.detail
    assert "word" not in found.value.detail


def test_a_file_with_keys_that_others_may_read_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    declarations = Declarations(file)
    assert not declarations.look()
    file.write_text(GOOD)
    file.chmod(0o644)
    assert declarations.look()
    assert declarations.declared == {}
    assert declarations.trouble is not None
    assert "0600" in declarations.trouble
    assert "sk-of-the-tests" not in declarations.trouble
    file.chmod(0o600)
    assert declarations.look()
    assert set(declarations.declared) == {"deepseek", "llama"}
    assert not declarations.look()
    assert not declarations.trouble


def test_a_file_without_keys_may_be_read_by_all_and_one_that_goes_declares_nothing(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[providers.llama]\nurl = "http://127.0.0.1:8080/v1"')
    file.chmod(0o644)
    declarations = Declarations(file)
    declarations.look()
    assert set(declarations.declared) == {"llama"}
    file.unlink()
    assert declarations.look()
    assert (declarations.declared, declarations.trouble) == ({}, None)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[providers"])
def test_a_file_that_cannot_be_read_declares_nothing_and_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "providers.toml"
    file.write_bytes(content)
    declarations = Declarations(file)
    declarations.look()
    assert declarations.declared == {}
    assert declarations.trouble
