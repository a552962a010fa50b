"""What is read of a request's body, and whose share it counts to."""

from __future__ import annotations

import json

import pytest

from config.auth import Caller, Role
from config.errors import BadRequest
from switch.orders import asker_of, order_of

CHAT = "/v1/chat/completions"


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


def test_a_chat() -> None:
    raw = body(model="a", messages=[{"role": "user", "content": "x" * 40}], stream=True, max_tokens=7, n=2)
    order = order_of(CHAT, raw)
    assert (order.model, order.stream, order.max_tokens, order.n, order.body) == ("a", True, 7, 2, raw)
    assert order.prompt_tokens_guess == 11  # "user" counts too


@pytest.mark.parametrize("model", [None, "", "auto", 7, ["a"]])
def test_a_choice_left_open(model: object) -> None:
    assert order_of(CHAT, body(model=model)).model is None


@pytest.mark.parametrize("senseless", [{"n": 0}, {"n": True}, {"n": "2"}, {"max_tokens": -1}, {"max_tokens": None}])
def test_senseless_numbers_are_left_to_who_checks_them(senseless: dict[str, object]) -> None:
    order = order_of(CHAT, body(**senseless))
    assert (order.n, order.max_tokens) == (1, None)


@pytest.mark.parametrize(
    ("prompt", "guess"),
    [("é" * 10, 5), ([1, 2, 3], 3), (["ab", "cd"], 1), (["\ud800"], 0), ([{"type": "text", "text": "abcd" * 3}], 4)],
)
def test_the_guess_counts_bytes_of_text_and_tokens_as_they_are(prompt: object, guess: int) -> None:
    assert order_of("/v1/completions", body(prompt=prompt)).prompt_tokens_guess == guess


def test_what_is_no_object_is_refused() -> None:
    for raw in (b"[]", b"{", b"", b"[" * 100_000):
        with pytest.raises(BadRequest):
            order_of(CHAT, raw)


def test_an_order_for_a_model_names_it_in_its_body() -> None:
    order = order_of(CHAT, body(model="auto", messages=[]))
    chosen = order.for_model("b")
    assert (chosen.model, json.loads(chosen.body)) == ("b", {"model": "b", "messages": []})
    named = order_of(CHAT, body(model="b"))
    assert named.for_model("b") is named


ASKERS = [
    (None, "ann", 4, "ann"),
    ("tentaculo_link", "ann", 1, "ann"),
    ("operator", "ann", 1, "ann"),
    ("madre", "ann", 2, "madre:ann"),
    ("spawner", "ann", 3, "spawner:ann"),
    ("shub", "service:shub", 0, "shub:service:shub"),
    ("hormiguero", "x", 4, "hormiguero:x"),
]


@pytest.mark.parametrize(("service", "user", "priority", "share"), ASKERS)
def test_askers(service: str | None, user: str, priority: int, share: str) -> None:
    asker = asker_of(Caller(user, Role.USER, "t", service))
    assert (asker.user, asker.priority, asker.share_key) == (user, priority, share)
