"""docker-compose.yml says what the table of the house says, of every service that this build holds."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from config.serve import COMPOSE_TOKEN
from config.services import CORE, FLEET, Service, present_services
from config.settings import Settings
from scripts.doctor.settings_table import rows
from tests.support.tree import ROOMS, ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DECLARED: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
PRESENT = present_services()
# What the image or its surroundings fix, and so nobody sets.
OF_THE_IMAGE = {
    "VX11_DATA_PATH",
    "VX11_MODELS_PATH",
    "VX11_SECRETS_PATH",
    "VX11_SERVICE_HOSTS",
    "VX11_PORT_OFFSET",
    "VX11_POWER_COMPOSE_FILE",
}
# Variables of the file that no container needs to resolve it: the first is a synonym, the second Compose's own, and
# madre, whose socket the third is, does not start herself.
NOT_HANDED_ON = {"VX11_TENTACULO_LINK_TOKEN", "COMPOSE_PROJECT_NAME", "VX11_DOCKER_SOCKET"}
SOCKET = "/var/run/docker.sock"

every_service = pytest.mark.parametrize("service", PRESENT, ids=lambda service: service.name)


def handed_on(service: Service) -> dict[str, str | None]:
    """The environment of a container: names with the words the file gives them."""
    pairs = (entry.partition("=") for entry in DECLARED[service.name]["environment"])
    return {name: value if given else None for name, given, value in pairs}


def limit_mb(declared: dict[str, Any]) -> int | None:
    """The memory limit in MiB; None where the file leaves it to a variable that is unset."""
    found = re.fullmatch(r"(\d+)m", str(declared["mem_limit"]))
    assert found or declared["mem_limit"] == "${VX11_SWITCH_MEMORY_MB:-0}m", declared["mem_limit"]
    return int(found[1]) if found else None


def test_the_services_of_this_build_are_declared_and_no_others() -> None:
    names = {service.name for service in PRESENT}
    assert names - DECLARED.keys() == set(), "docker-compose.yml lacks services whose rooms are here"
    assert DECLARED.keys() - names == set(), "docker-compose.yml declares services whose rooms are absent"


@every_service
def test_a_container_runs_its_service_in_an_image_of_the_dockerfile(service: Service) -> None:
    declared = DECLARED[service.name]
    target = declared["build"]["target"]
    assert declared["command"] == service.name
    assert declared["image"] == f"vx11-{target}"
    assert re.search(rf"^FROM \S+ AS {target}$", DOCKERFILE, re.MULTILINE)


@every_service
def test_memory_is_limited_as_the_table_says(service: Service) -> None:
    assert limit_mb(DECLARED[service.name]) == service.limit_mb


@every_service
def test_a_service_is_published_on_its_port_of_loopback_and_the_door_where_it_is_told(service: Service) -> None:
    [published] = DECLARED[service.name]["ports"]
    number = f"{service.port % 100:02}"
    assert service.port // 100 == 80
    if service.name == "tentaculo_link":
        host = "${VX11_BIND:-127.0.0.1}"
        assert published == {
            "host_ip": host, "published": f"${{VX11_PORT_PREFIX:-80}}{number}", "target": service.port,
        }  # fmt: skip
    else:
        assert published == f"127.0.0.1:${{VX11_PORT_PREFIX:-80}}{number}:{service.port}"


@every_service
def test_data_and_models_are_shared_in_named_volumes(service: Service) -> None:
    volumes = DECLARED[service.name]["volumes"]
    assert volumes[:2] == ["data:/data", "models:/models"]
    assert yaml.safe_load(TEXT)["volumes"] == {"data": None, "models": None}


@every_service
def test_only_madre_has_the_socket_and_powers_to_become_who_may_use_it(service: Service) -> None:
    declared = DECLARED[service.name]
    is_madre = service.name == "madre"
    assert (SOCKET in str(declared["volumes"])) == is_madre
    assert declared.get("cap_add", []) == (["SETUID", "SETGID", "KILL"] if is_madre else [])
    assert declared["cap_drop"] == ["ALL"]
    assert declared["security_opt"] == ["no-new-privileges:true"]
    assert declared["read_only"] is True


@every_service
def test_containers_begin_end_and_talk_as_they_should(service: Service) -> None:
    declared = DECLARED[service.name]
    assert declared["init"] is True
    assert declared["restart"] == ("unless-stopped" if service.name in CORE else "no")
    assert declared["stop_grace_period"] == "10s"
    assert declared["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


@every_service
def test_every_setting_reaches_every_container(service: Service) -> None:
    names = {row.name for row in rows(Settings())}
    missing = names - OF_THE_IMAGE - handed_on(service).keys()
    assert missing == set(), "docker-compose.yml does not hand on these settings"
    assert OF_THE_IMAGE & handed_on(service).keys() == set()


def test_no_setting_is_handed_on_that_does_not_exist() -> None:
    names = {row.name for row in rows(Settings())} | variables()
    assert handed_on(FLEET["madre"]).keys() - names == set()


def variables() -> set[str]:
    """The variables that the file is resolved with."""
    return set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))


def test_madre_can_resolve_the_file_as_its_author_did() -> None:
    assert variables() - NOT_HANDED_ON - handed_on(FLEET["madre"]).keys() == set()


def test_the_default_token_is_the_one_that_is_refused_on_open_addresses() -> None:
    environment = handed_on(FLEET["tentaculo_link"])
    assert str(environment["VX11_TOKEN"]).endswith(f":-{COMPOSE_TOKEN}}}}}")
    assert environment["VX11_BIND"] == "${VX11_BIND:-127.0.0.1}"


def test_containers_start_with_all_services_under_the_compose_driver() -> None:
    environment = handed_on(FLEET["madre"])
    assert environment["VX11_POWER_POLICY"] == "${VX11_POWER_POLICY:-full}"
    assert environment["VX11_POWER_DRIVER"] == "${VX11_POWER_DRIVER:-compose}"


def test_every_name_in_the_example_exists_and_nothing_is_set_in_it() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {found[1] for line in lines if (found := re.match(r"#?([A-Z0-9_]+)=", line))}
    assert named
    assert named - {row.name for row in rows(Settings())} - variables() == set()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_images_stand_on_the_two_bases_and_need_no_frontend_from_elsewhere() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert DOCKERFILE.count("\nFROM ") == len(stages)
    own = {name for _, name in stages}
    assert {base for base, _ in stages} - own <= {"python:3.13-slim-trixie", "node:20-trixie-slim"}
    assert "syntax=" not in DOCKERFILE


def test_an_image_runs_as_nobody_special() -> None:
    """But madre's, which starts as root to find the socket's group: scripts/container/with-engine."""
    for target in {declared["build"]["target"] for declared in DECLARED.values()}:
        stage = DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert ("USER vx11" in stage) == (target != "madre"), target


def test_the_builder_gets_every_room_and_no_tests_models_or_data() -> None:
    wanted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"config", "scripts", "vx11", *ROOMS} <= wanted
    assert not {"tests", "models", "data", ".env", ".git", "*"} & wanted
