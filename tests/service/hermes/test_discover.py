"""Discovery: each tier with its state, a plan that changes nothing, applied only while it still holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from config.db_schema import AuditLog
from config.settings import HermesSettings
from tests.support.gguf import gguf_bytes, sha256
from tests.support.hermes import Hermes, hermes_in
from tests.support.hub import fake_hub
from tests.support.programs import COPILOT, put_program

MODEL = gguf_bytes(elements=1000)
OTHER = gguf_bytes(elements=1000, salt=1)


async def discovered(hermes: Hermes, *tiers: str, **body: Any) -> dict[str, Any]:
    asked = {**({"tiers": list(tiers)} if tiers else {}), **body}
    answer = await hermes.client.post("/hermes/discover", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def states(found: dict[str, Any]) -> dict[str, str]:
    return {tier["tier"]: tier["state"] for tier in found["tiers"]}


def items(found: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item for tier in found["tiers"] for item in tier["items"]}


def keep(home: Path, where: str, content: bytes = MODEL) -> Path:
    file = home / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


async def test_offline_each_tier_says_how_it_is(tmp_path: Path) -> None:
    settings = HermesSettings(free_space_mb=0, hf_endpoint="http://127.0.0.1:9")
    async with hermes_in(tmp_path, hermes=settings) as hermes:
        assert states(await discovered(hermes)) == {"local": "ok", "catalog": "ok", "web": "off", "cli": "ok"}
        found = await discovered(hermes, "web", query="tiny")
        assert states(found) == {"web": "offline"}
        assert "connection failed" in found["tiers"][0]["reason"]


async def test_a_hub_that_keeps_silent_is_offline_in_bounded_time_and_one_that_babbles_an_error(tmp_path: Path) -> None:
    async with fake_hub() as hub:
        settings = HermesSettings(free_space_mb=0, hf_endpoint=hub.url, discover_timeout_sec=0.3)
        async with hermes_in(tmp_path, hermes=settings) as hermes:
            hub.weather.silent = True
            assert states(await discovered(hermes, "web", query="tiny")) == {"web": "offline"}
            hub.weather.silent = False
            hub.weather.answers = [(200, {}, b"<html>")]
            assert states(await discovered(hermes, "web", query="tiny")) == {"web": "error"}


async def test_the_hub_is_searched_when_asked_and_only_what_is_named_is_pulled(tmp_path: Path) -> None:
    async with fake_hub() as hub:
        hub.put("ana/tiny-GGUF", {"tiny-Q4_K_M.gguf": MODEL})
        hub.put("eva/tiny-GGUF", {"tiny-Q4_K_M.gguf": OTHER})
        settings = HermesSettings(free_space_mb=0, hf_endpoint=hub.url, web_results=5)
        async with hermes_in(tmp_path, hermes=settings) as hermes:
            found = await discovered(hermes, "web", query="tiny")
            assert [item["key"] for item in found["tiers"][0]["items"]] == ["web:ana/tiny-GGUF", "web:eva/tiny-GGUF"]
            plan = {"query": "tiny", "apply": True, "digest": found["digest"]}
            assert (await discovered(hermes, "web", **plan))["applied"] == []
            (done,) = (await discovered(hermes, "web", **plan, items=["web:ana/tiny-GGUF"]))["applied"]
            assert (await hermes.ended(done["job_id"]))["state"] == "DONE"
            off = HermesSettings(free_space_mb=0, web_discovery=False)
        async with hermes_in(tmp_path, hermes=off) as hermes:
            assert states(await discovered(hermes, "web", query="tiny")) == {"web": "off"}


async def test_files_and_programs_are_planned_then_applied(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "copilot", COPILOT)
    async with hermes_in(tmp_path, path=str(tmp_path / "bin")) as hermes:
        (hermes.models / "new.gguf").write_bytes(MODEL)
        found = await discovered(hermes, "local", "cli")
        assert {name: item["act"] for name, item in items(found).items()} == {"new": "register", "copilot": "onboard"}
        assert await hermes.names() == []
        done = (await discovered(hermes, "local", "cli", apply=True, digest=found["digest"]))["applied"]
        assert {one["name"]: one["error"] for one in done} == {"new": None, "copilot": None}
        assert await hermes.names() == ["new"]
        assert items(await discovered(hermes, "local", "cli")) == {}


async def test_two_looks_leave_what_one_leaves_and_that_is_nothing(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        keep(tmp_path / "data/home", ".cache/llama.cpp/good.gguf")
        (hermes.models / "new.gguf").write_bytes(OTHER)
        files = hermes.files()
        first, second = await discovered(hermes), await discovered(hermes)
        assert (first["digest"], list(items(first))) == (second["digest"], list(items(second)))
        assert (hermes.files(), await hermes.names(), hermes.events("")) == (files, [], [])
        with hermes.house.db.read() as session:
            assert session.query(AuditLog).count() == 0


async def test_a_stale_plan_is_refused_with_the_difference(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        for name in ("a", "b"):
            (hermes.models / f"{name}.gguf").write_bytes(MODEL)
        found = await discovered(hermes, "local")
        (hermes.models / "a.gguf").unlink()
        (hermes.models / "b.gguf").write_bytes(OTHER + b"more")
        (hermes.models / "c.gguf").write_bytes(OTHER)
        body = {"tiers": ["local"], "apply": True, "digest": found["digest"]}
        answer = await hermes.client.post("/hermes/discover", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        difference = {"added": ["local:c.gguf"], "removed": ["local:a.gguf"], "changed": ["local:b.gguf"]}
        assert answer.json()["difference"] == difference
        assert await hermes.names() == []
        unknown = await hermes.client.post("/hermes/discover", json={**body, "digest": "0" * 64})
        assert unknown.status_code == 409
        assert (await hermes.client.post("/hermes/discover", json={"apply": True})).status_code == 422


async def test_models_of_other_tools_are_seen_and_adopted_without_touching_them(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        home = tmp_path / "data/home"
        keep(home, ".lmstudio/models/ana/Tiny-Q4.gguf")
        digest = sha256(OTHER)
        blob = keep(home, f".ollama/models/blobs/sha256-{digest}", OTHER)
        layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
        keep(home, ".ollama/models/manifests/r/library/tiny/1b", json.dumps({"layers": [layer]}).encode())
        found = items(await discovered(hermes, "local"))
        assert {name: item["facts"]["tool"] for name, item in found.items()} == {
            "tiny-q4": "lm-studio",
            "tiny-1b": "ollama",
        }
        assert not any(item["suggested"] for item in found.values())
        plan = await discovered(hermes, "local")
        key = found["tiny-1b"]["key"]
        (done,) = (await discovered(hermes, "local", apply=True, digest=plan["digest"], items=[key]))["applied"]
        assert (await hermes.ended(done["job_id"]))["state"] == "DONE"
        assert (hermes.models / "tiny-1b.gguf").read_bytes() == OTHER
        assert blob.read_bytes() == OTHER
        assert set(items(await discovered(hermes, "local"))) == {"tiny-q4"}


async def test_nothing_outside_the_home_and_nothing_that_is_no_model_is_listed(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        home = tmp_path / "data/home"
        cache = home / ".cache/llama.cpp"
        keep(home, ".cache/llama.cpp/good.gguf")
        keep(home, ".cache/llama.cpp/page.gguf", b"<html>")
        outside = keep(tmp_path, "outside.gguf")
        (cache / "link.gguf").symlink_to(outside)
        (cache / "circle.gguf").symlink_to(cache / "circle.gguf")
        os.mkfifo(cache / "pipe.gguf")
        keep(home, ".ollama/models/manifests/r/l/x/y", b'{"layers": [{"digest": "sha256:../../../outside.gguf"}]}')
        keep(home, ".ollama/models/manifests/r/l/x/z", b"[" * 100_000)
        assert list(items(await discovered(hermes, "local"))) == ["good"]


async def test_the_catalogue_suggests_its_starters(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        found = items(await discovered(hermes, "catalog"))
        assert {name for name, item in found.items() if item["suggested"]} == {"smollm2-135m-instruct", "gemma-3-270m"}
        assert found["mistral-7b-instruct"]["facts"]["over_2gb"]


@pytest.mark.parametrize("body", [{"tiers": []}, {"tiers": ["moon"]}, {"query": ""}, {"apply": True, "digest": "x"}])
async def test_bad_orders_are_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    async with hermes_in(tmp_path) as hermes:
        assert (await hermes.client.post("/hermes/discover", json=body)).status_code == 422
