"""Redaction and the shape of a log line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import logs
from tests.support.crowd import ROOT

SIGNED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


# Run in a process of its own, because it takes over the root logger.
PROGRAM = """
import logging
from config import logs
logs.set_up("madre", "info")
logs.hide("chosen-by-me")
log = logging.getLogger("room")
logs.correlation_id.set("c-1")
log.info("hello %s", "you", extra={"model": "m"})
log.debug("quiet")
logging.getLogger("httpx").info("chatty")
try:
    raise ValueError("vx11_0123456789abcdef")
except ValueError:
    log.exception("failed with Bearer s3cret-0123456789abcdef and chosen-by-me")
"""


@pytest.mark.parametrize(
    "text",
    [
        "token vx11_0123456789abcdef in a sentence",
        f"signed {SIGNED}!",
        "Authorization: Bearer s3cret-0123456789abcdef",
        "authorization: bearer s3cret-0123456789abcdef, x",
        "X-VX11-Token: s3cret-0123456789abcdef",
    ],
)
def test_credentials_are_replaced(text: str) -> None:
    redacted = logs.redacted(text)
    assert "[redacted]" in redacted
    assert "0123456789abcdef" not in redacted
    assert "c2lnbmF0dXJl" not in redacted


@pytest.mark.parametrize(
    "text",
    ["vx11 up", "curl -H 'X-VX11-Token: $TOKEN'", "X-VX11-Token: <token>", "the bearer", "eyJ is how they begin"],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert logs.redacted(text) == text


def test_a_chosen_token_is_hidden_wherever_it_stands() -> None:
    logs.hide('odd "quoted" t\\ken')
    spoken = logs.redacted('it was odd "quoted" t\\ken, sir')
    as_json = logs.redacted(json.dumps({"given": 'odd "quoted" t\\ken'}))
    assert spoken == "it was [redacted], sir"
    assert json.loads(as_json) == {"given": "[redacted]"}


PIECES = st.sampled_from(["Bearer ", "x-vx11-token: ", "vx11_", "eyJ", "a.b.c", '"', "\\", "abcdefgh", " ", "{", "é"])


@given(st.lists(PIECES).map("".join), st.lists(PIECES).map("".join))
def test_redacted_json_is_still_json(key: str, value: str) -> None:
    loaded = json.loads(logs.redacted(json.dumps({"first": 1, key: value, "last": [value, 2]})))
    assert loaded["last"][1] == 2


def test_lines_are_json_objects_with_service_and_correlation_and_no_token() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    hello, failed = map(json.loads, ended.stderr.splitlines())
    assert {key: hello[key] for key in hello if key != "time"} == {
        "level": "INFO",
        "name": "room",
        "message": "hello you",
        "service": "madre",
        "correlation_id": "c-1",
        "model": "m",
    }
    assert failed["message"] == "failed with Bearer [redacted] and [redacted]"
    assert "ValueError: [redacted]" in failed["exc_info"]
    assert "0123456789abcdef" not in ended.stderr
