"""Every path has one owner."""

from __future__ import annotations

import pytest

from config.services import FLEET
from tentaculo_link.paths import owner_of


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/chat/completions", "switch"),
        ("/switch/models", "switch"),
        ("/madre/power/state", "madre"),
        ("/mcp", "mcp"),
        ("/ws/abc", "operator"),
        ("/operator/ui/", "operator"),
        ("/vx11/status", None),
        ("/auth/tokens", None),
        ("/health", None),
        ("/", None),
        ("/v10/x", None),
        ("//switch/x", None),
        ("/Switch/x", None),
    ],
)
def test_the_owner_of_a_path(path: str, owner: str | None) -> None:
    assert owner_of(path) == owner


def test_every_service_but_the_door_owns_its_name() -> None:
    assert {name for name in FLEET if owner_of(f"/{name}/x") == name} == set(FLEET) - {"tentaculo_link"}
