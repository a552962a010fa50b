"""The line to paste is one a shell takes apart into exactly what was meant."""

from __future__ import annotations

import json
import shlex

from scripts.cli.card import curl_line


def test_the_line_survives_the_shell() -> None:
    words = shlex.split(curl_line("http://127.0.0.1:8000", "vx11_a'b\"c", "smol"))
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:8000/v1/chat/completions"]
    assert "X-VX11-Token: vx11_a'b\"c" in words
    body = json.loads(words[words.index("-d") + 1])
    assert (body["model"], body["stream"]) == ("smol", True)


def test_without_a_model_it_asks_which_there_are() -> None:
    line = curl_line("http://127.0.0.1:8000", "t", None)
    assert "\n" not in line
    assert "/v1/models" in line
