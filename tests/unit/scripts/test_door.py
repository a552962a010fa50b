"""The command line's view of the gateway: streams come piece by piece, failures come in words."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from config.errors import UnknownModel
from config.problems.outgoing import problem_response
from scripts.cli.door import Door, Piece, address_of
from scripts.cli.failure import CommandFailed
from tests.support.front_door import Gateway, door_to
from tests.support.house import settings_in

QUESTION = [{"role": "user", "content": "hi"}]


def chunk(text: str) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}}]}


def refusing(error: Exception) -> Door:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise error

    return Door(httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(refuse)))


def test_an_answer_comes_in_pieces_and_ends_with_its_counts() -> None:
    gateway = Gateway()
    usage = {"completion_tokens": 2}
    gateway.on_stream("/v1/chat/completions", chunk("Pa"), chunk("ris"), {"choices": [], "usage": usage}, "[DONE]")
    with door_to(gateway) as door:
        pieces = list(door.chat(QUESTION, model="m", max_tokens=5))
    assert pieces == [Piece("Pa"), Piece("ris"), Piece("", usage)]
    (_, _, body) = gateway.asked[0]
    assert (body["model"], body["stream"], body["max_tokens"]) == ("m", True, 5)


def test_a_stream_that_breaks_off_with_an_error_fails_in_its_words() -> None:
    gateway = Gateway()
    gateway.on_stream("/v1/chat/completions", chunk("Pa"), {"error": {"message": "the worker died"}})
    with door_to(gateway) as door, pytest.raises(CommandFailed, match="the worker died"):
        list(door.chat(QUESTION, model="m"))


def test_an_error_of_the_house_keeps_its_words_and_its_hint() -> None:
    gateway = Gateway()
    problem = problem_response(UnknownModel("There is no model x.", hint="Pull it first."), path="/v1")
    refused = httpx.Response(404, headers=problem.headers, content=bytes(problem.body))
    gateway.on("POST", "/v1/chat/completions", lambda _: refused)
    with door_to(gateway) as door, pytest.raises(CommandFailed, match="There is no model x") as failed:
        list(door.chat(QUESTION, model="x"))
    assert failed.value.remedy == "Pull it first."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("refused"), "not running"),
        (httpx.ReadTimeout("slow"), "did not answer in time"),
        (httpx.RemoteProtocolError("cut"), "broke"),
    ],
)
def test_bad_weather_is_said_in_words(error: Exception, words: str) -> None:
    door = refusing(error)
    with pytest.raises(CommandFailed, match=words):
        door.status()
    assert not door.is_ready()


def test_ready_is_what_the_gateway_says() -> None:
    gateway = Gateway()
    gateway.on("GET", "/ready", {"ready": True, "module": "tentaculo_link"})
    with door_to(gateway) as door:
        assert door.is_ready()
        gateway.on("GET", "/ready", {"ready": False, "module": "tentaculo_link"}, status=503)
        assert not door.is_ready()


@pytest.mark.parametrize(
    ("bind", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("10.0.0.5", "10.0.0.5")]
)
def test_the_address_is_one_that_this_machine_can_reach(tmp_path: Path, bind: str, host: str) -> None:
    assert address_of(settings_in(tmp_path, bind=bind, port_offset=5)) == f"http://{host}:8005"
