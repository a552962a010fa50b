"""Errors on the wire: to problem+json and back into the same class."""

from __future__ import annotations

import json

import pytest

from config.errors import BadPeer, Conflict, ContextOverflow, NotFound, TooManyRequests, VX11Error
from config.problems.incoming import error_from_answer
from config.problems.outgoing import problem_body, problem_response
from tests.unit.config.test_errors import ALL


def back(error: VX11Error, *, path: str = "") -> VX11Error:
    answer = problem_response(error, path=path)
    return error_from_answer(answer.status_code, answer.headers, bytes(answer.body))


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("path", ["/madre/power/state", "/v1/chat/completions"])
def test_every_class_survives_a_hop(cls: type[VX11Error], path: str) -> None:
    sent = cls(
        "What happened.",
        hint="What mends it.",
        retry_after_sec=7,
        errors=[{"field": "a", "message": "b"}],
        extra={"prompt_tokens": 9, "nested": {"list": [1, None]}},
    )
    got = back(sent, path=path)
    assert type(got) is cls
    assert vars(got) == vars(sent)


def test_own_members_win_over_extra() -> None:
    body = problem_body(Conflict("x", extra={"status": 200, "code": "fine", "more": 1}))
    assert (body["status"], body["code"], body["more"]) == (409, "conflict", 1)


def test_retry_after_is_whole_seconds_and_never_zero() -> None:
    assert problem_response(TooManyRequests("x", retry_after_sec=0.01)).headers["retry-after"] == "1"
    assert problem_response(TooManyRequests("x", retry_after_sec=1.2)).headers["retry-after"] == "2"
    assert "retry-after" not in problem_response(NotFound("x")).headers


def test_openai_clients_find_the_member_they_read() -> None:
    error = ContextOverflow("Too long.", extra={"prompt_tokens": 9, "context_tokens": 8})
    body = json.loads(bytes(problem_response(error, path="/v1/chat/completions").body))
    assert body["error"] == {
        "message": "Too long.",
        "type": "invalid_request_error",
        "code": "context_overflow",
        "param": None,
    }
    assert "error" not in json.loads(bytes(problem_response(error, path="/switch/chat").body))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>no</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b'"conflict"',
        b'{"code": "conflict"}',
        b'{"code": ["conflict"], "detail": "x"}',
        b'{"code": "from_the_future", "detail": "x"}',
        b'{"code": "conflict", "detail": "x", "errors": "abc"}',
        b'{"code": "conflict", "detail": "x", "hint": 5}',
    ],
)
def test_an_answer_that_is_no_problem_of_ours_becomes_bad_peer(content: bytes) -> None:
    error = error_from_answer(409, {}, content)
    assert type(error) is BadPeer
    assert "409" in error.detail


@pytest.mark.parametrize("value", ["²", "soon", "-1", "1.5", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_strange_retry_after_is_left_out(value: str) -> None:
    answer = problem_response(Conflict("x"))
    assert error_from_answer(409, {"retry-after": value}, bytes(answer.body)).retry_after_sec is None


def test_a_token_in_an_error_is_not_sent() -> None:
    body = bytes(problem_response(NotFound("no path /x/vx11_abcdefghijkl", hint='Bearer abc"def')).body)
    assert b"abcdefghijkl" not in body
    assert b"Bearer abc" not in body
    assert json.loads(body)["code"] == "not_found"
