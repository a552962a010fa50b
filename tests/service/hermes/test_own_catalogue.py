"""A catalogue of the user's own that changes and breaks while hermes runs; files that change under a model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from config.settings import HermesSettings
from tests.support.eventually import eventually
from tests.support.gguf import gguf_bytes, sha256
from tests.support.hermes import Hermes, hermes_in

MODEL = gguf_bytes(elements=1000)
OTHER = gguf_bytes(elements=1000, salt=1)
MINE = {"models": [{"name": "mine", "source": "hf:ana/tiny:Q4_K_M"}]}


async def names(hermes: Hermes) -> list[str]:
    return [item["name"] for item in (await hermes.client.get("/hermes/catalog")).json()["items"]]


async def health(hermes: Hermes) -> dict[str, Any]:
    return (await hermes.client.get("/health")).json()  # type: ignore[no-any-return]


async def test_an_own_catalogue_counts_as_soon_as_it_changes_and_the_last_good_one_while_broken(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    settings = HermesSettings(free_space_mb=0, catalogue_file=file)
    async with hermes_in(tmp_path, hermes=settings) as hermes:
        missing = await eventually(lambda: health(hermes), lambda seen: seen["status"] == "degraded")
        assert "mine.json cannot be read" in missing["checks"]["catalogue_problem"]
        file.write_text(json.dumps(MINE))
        await eventually(lambda: names(hermes), lambda seen: "mine" in seen)
        assert (await health(hermes))["status"] == "ok"
        file.write_text("{ this is")
        broken = await eventually(lambda: health(hermes), lambda seen: seen["status"] == "degraded")
        assert "mine.json is not used" in broken["checks"]["catalogue_problem"]
        assert str(tmp_path) not in json.dumps(broken)
        assert "mine" in await names(hermes)
        file.write_text(json.dumps({"models": []}))
        await eventually(lambda: names(hermes), lambda seen: "mine" not in seen)
        told = await eventually(lambda: types(hermes), lambda seen: len(seen) == 4)
        assert told == ["catalogue.broken", "catalogue.changed", "catalogue.broken", "catalogue.changed"]
        assert hermes.events("catalogue.changed")[0].data["added"] == ["mine"]


async def types(hermes: Hermes) -> list[str]:
    return [event.type for event in hermes.events("catalogue.")]


async def registered(hermes: Hermes) -> None:
    (hermes.models / "m.gguf").write_bytes(MODEL)
    assert (await hermes.client.post("/hermes/models/register", json={"path": "m.gguf"})).status_code == 201


async def test_a_file_replaced_under_its_model_is_told_with_both_hashes(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        await registered(hermes)
        (tmp_path / "other").write_bytes(OTHER)
        os.replace(tmp_path / "other", hermes.models / "m.gguf")
        await hermes.client.post("/hermes/scan")
        (event,) = hermes.events("model.changed")
        assert event.data["changes"] == {"file": "replaced"}
        assert (event.data["before_sha256"], event.data["sha256"]) == (sha256(MODEL), sha256(OTHER))
        assert (event.data["name"], event.data["path"]) == ("m", "m.gguf")


async def test_a_file_truncated_under_its_model_is_told_and_put_aside(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        await registered(hermes)
        os.truncate(hermes.models / "m.gguf", len(MODEL) - 100)
        await hermes.client.post("/hermes/scan")
        (event,) = hermes.events("model.changed")
        assert (event.severity, event.data["changes"]["file"]) == ("error", "damaged")
        assert (await hermes.client.get("/hermes/models/m")).json()["compatibility"] == "missing"
        assert "quarantine/m.gguf" in hermes.files()
        assert hermes.events("model.missing") == []


async def test_a_model_is_replaced_by_another_file_when_that_is_asked_for(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        await registered(hermes)
        (hermes.models / "next.gguf").write_bytes(OTHER)
        body = {"path": "next.gguf", "name": "m"}
        assert (await hermes.client.post("/hermes/models/register", json=body)).status_code == 409
        answer = await hermes.client.post("/hermes/models/register", json={**body, "replace": True})
        assert (answer.status_code, answer.json()["sha256"]) == (201, sha256(OTHER))
        assert hermes.files() == {"next.gguf"}
        assert hermes.events("model.changed")[0].data["before_sha256"] == sha256(MODEL)


async def test_patch_and_delete_are_told_with_name_hash_and_path(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        await registered(hermes)
        await hermes.client.patch("/hermes/models/m", json={"enabled": False})
        await hermes.client.delete("/hermes/models/m")
        told = [event for event in hermes.events("model.") if event.type != "model.registered"]
        assert [event.type for event in told] == ["model.changed", "model.removed"]
        for event in told:
            assert (event.data["name"], event.data["sha256"], event.data["path"]) == ("m", sha256(MODEL), "m.gguf")
