"""The token that everybody knows opens no door that everybody can reach."""

from __future__ import annotations

from typing import Any

import pytest

from config.serve import COMPOSE_TOKEN, refuse_open_door
from config.settings import Settings


def refusal(**settings: Any) -> str:
    """Why these settings are not served; empty where they are."""
    try:
        refuse_open_door(Settings(**settings))
    except SystemExit as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
@pytest.mark.parametrize("hosts", ["loopback", "names"])
def test_the_default_token_may_stand_on_loopback(bind: str, hosts: str) -> None:
    assert refusal(token=COMPOSE_TOKEN, bind=bind, service_hosts=hosts) == ""


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
@pytest.mark.parametrize("hosts", ["loopback", "names"])
def test_the_default_token_is_refused_elsewhere_with_the_reason(bind: str, hosts: str) -> None:
    reason = refusal(token=COMPOSE_TOKEN, bind=bind, service_hosts=hosts)
    assert f"VX11_BIND is {bind}" in reason
    assert "set VX11_TOKEN" in reason
    assert COMPOSE_TOKEN not in reason


@pytest.mark.parametrize("token", ["a-secret-of-my-own", None])
def test_a_token_of_ones_own_may_stand_anywhere(token: str | None) -> None:
    assert refusal(token=token, bind="0.0.0.0") == ""
