"""The table of the house."""

from __future__ import annotations

import pytest

from config.errors import NotFound
from config.services import CORE, FLEET, Service, is_present, present_services, service_named


def test_ten_services_with_ports_of_their_own() -> None:
    assert len(FLEET) == 10
    assert len({service.port for service in FLEET.values()}) == 10
    assert all(name == service.name for name, service in FLEET.items())


def test_gateway_and_madre_never_sleep() -> None:
    assert CORE == ("tentaculo_link", "madre")


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(NotFound, match="'swich'") as caught:
        service_named("swich")
    assert "switch" in (caught.value.hint or "")


def test_a_room_is_there_once_it_has_an_app() -> None:
    assert is_present(Service("whole", 9, "config", True, 1, "a package with an app module"))
    assert not is_present(Service("half", 9, "config.contracts", True, 1, "a package without one"))
    assert not is_present(Service("ghost", 9, "no_such_room", True, 1, "no package"))
    assert {service.name for service in present_services()} <= set(FLEET)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        FLEET["switch"] = FLEET["madre"]  # type: ignore[index]
