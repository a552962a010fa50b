"""docker-stack.yml says what the table of the house and docker-compose.yml say, of every service of this build."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from config.services import CORE, Service, present_services
from config.settings import Settings
from scripts.doctor.settings_table import rows
from tests.support.tree import ROOT

STACK: dict[str, Any] = yaml.safe_load((ROOT / "docker-stack.yml").read_text())
COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DECLARED: dict[str, dict[str, Any]] = STACK["services"]

every_service = pytest.mark.parametrize("service", present_services(), ids=lambda service: service.name)


def test_the_services_of_this_build_are_declared_and_no_others() -> None:
    names = {service.name for service in present_services()}
    assert names - DECLARED.keys() == set(), "docker-stack.yml lacks services whose rooms are here"
    assert DECLARED.keys() - names == set(), "docker-stack.yml declares services whose rooms are absent"


@every_service
def test_a_task_runs_what_its_container_runs_elsewhere(service: Service) -> None:
    declared, composed = DECLARED[service.name], COMPOSED[service.name]
    assert declared["image"] == "${VX11_REGISTRY:-}" + composed["image"]
    for same in ("command", "init", "read_only", "cap_drop", "stop_grace_period", "tmpfs", "logging", "volumes"):
        assert declared[same] == composed[same], same
    assert declared.get("cap_add") == composed.get("cap_add")


@every_service
def test_memory_is_reserved_and_limited_as_the_table_says(service: Service) -> None:
    resources = DECLARED[service.name]["deploy"]["resources"]
    assert resources["reservations"] == {"memory": f"{service.memory_mb}M"}
    limit = service.limit_mb
    assert resources.get("limits", {}).get("memory") == (None if limit is None else f"{limit}M")


@every_service
def test_processes_are_bounded_as_they_are_elsewhere(service: Service) -> None:
    limits = DECLARED[service.name]["deploy"]["resources"].get("limits", {})
    assert limits.get("pids") == COMPOSED[service.name].get("pids_limit")


@every_service
def test_the_core_is_swarms_to_keep_and_what_sleeps_is_madres(service: Service) -> None:
    declared = DECLARED[service.name]
    is_core = service.name in CORE
    assert declared["deploy"]["replicas"] == int(is_core)
    assert declared["deploy"]["restart_policy"]["condition"] == ("any" if is_core else "none")
    assert ("healthcheck" in declared) == (not is_core), "a task that is being checked is not let in for 5 s"


@every_service
def test_only_the_door_is_published(service: Service) -> None:
    published = [{"target": 8000, "published": 8000}] if service.name == "tentaculo_link" else []
    assert DECLARED[service.name].get("ports", []) == published


@every_service
def test_names_lead_straight_to_the_task_but_for_the_door_that_every_machine_publishes(service: Service) -> None:
    expected = None if service.name == "tentaculo_link" else "dnsrr"
    assert DECLARED[service.name]["deploy"].get("endpoint_mode") == expected


def test_madre_is_where_a_manager_answers_and_the_models_where_they_are() -> None:
    placed = {name: one["deploy"].get("placement", {}).get("constraints") for name, one in DECLARED.items()}
    assert placed["madre"] == ["node.role == manager"]
    assert placed["switch"] == placed["hermes"] == ["node.labels.vx11.models == true"]


@every_service
def test_no_secret_is_in_the_environment(service: Service) -> None:
    environment = DECLARED[service.name]["environment"]
    assert environment.keys() - {row.name for row in rows(Settings())} == set()
    assert not {"VX11_TOKEN", "VX11_TENTACULO_LINK_TOKEN"} & environment.keys()
    assert {one["target"] for one in DECLARED[service.name]["secrets"]} == {"admin.token", "service.key", "vx11.pgpass"}
    assert {one["source"] for one in DECLARED[service.name]["secrets"]} == STACK["secrets"].keys()
