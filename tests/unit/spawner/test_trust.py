"""Whose tasks a cage is strong enough for."""

from __future__ import annotations

import pytest

from config.auth import Role
from spawner.cage import Promise
from spawner.trust import why_not
from tests.support.spawner import level


@pytest.mark.parametrize("role", list(Role))
def test_where_secrets_are_kept_anybody_may(role: Role) -> None:
    assert why_not(role, level(Promise.FILES), weak_isolation=False) is None


@pytest.mark.parametrize("promise", [Promise.READING, Promise.WRITING, Promise.PEEKING, Promise.SIGNALS])
def test_where_they_are_not_it_takes_an_admin_or_a_setting(promise: Promise) -> None:
    for role in (Role.USER, Role.OPERATOR):
        assert promise.value in (why_not(role, level(promise), weak_isolation=False) or "")
        assert why_not(role, level(promise), weak_isolation=True) is None
    for role in (Role.ADMIN, Role.SYSTEM):
        assert why_not(role, level(promise), weak_isolation=False) is None
