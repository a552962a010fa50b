"""The registry, scans, and files people put there themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from config.contracts.models import CatalogueModel
from config.db_schema import AuditLog, ModelUsageStat
from tests.support.eventually import eventually
from tests.support.gguf import FACTS, gguf_bytes, sha256
from tests.support.hermes import Hermes, hermes_in

MODEL = gguf_bytes()


def lay(hermes: Hermes, name: str, body: bytes = MODEL) -> Path:
    path = hermes.models / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


async def scan(hermes: Hermes, **body: Any) -> dict[str, Any]:
    answer = await hermes.client.post("/hermes/scan", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_scan_registers_what_is_new_and_puts_aside_what_is_broken(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "Good Model.gguf")
        lay(hermes, "deep/er/Other.Q4.gguf", gguf_bytes(salt=1))
        lay(hermes, "cut.gguf", MODEL[:-10])
        lay(hermes, "empty.gguf", b"")
        lay(hermes, "page.gguf", b"<html>not found</html>")
        lay(hermes, "unnamed", gguf_bytes(salt=2))
        lay(hermes, "README.md", b"about these models")
        report = await scan(hermes)
        assert [(f["path"], f["name"]) for f in report["registered"]] == [
            ("Good Model.gguf", "good-model"),
            ("unnamed", "unnamed"),
            ("deep/er/Other.Q4.gguf", "other.q4"),
        ]
        reasons = {f["path"]: f["reason"] for f in report["quarantined"]}
        assert set(reasons) == {"cut.gguf", "empty.gguf", "page.gguf"}
        assert "cut off" in reasons["cut.gguf"]
        assert "empty" in reasons["empty.gguf"]
        assert "<html>" in reasons["page.gguf"] or "not a GGUF" in reasons["page.gguf"]
        assert [f["path"] for f in report["ignored"]] == ["README.md"]
        assert "quarantine/cut.gguf" in hermes.files()
        assert len(hermes.events("model.quarantined")) == 3
        again = await scan(hermes)
        assert (again["known"], again["registered"], again["quarantined"]) == (3, [], [])


async def test_asked_again_with_its_key_a_scan_is_the_same_one(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        key = {"idempotency-key": "plan-1:1"}
        first, second = [await hermes.client.post("/hermes/scan", json={}, headers=key) for _ in range(2)]
        assert [found["name"] for found in second.json()["registered"]] == ["m"]
        assert (first.status_code, first.json()) == (200, second.json())
        with hermes.house.db.read() as session:
            assert [row.action for row in session.query(AuditLog)] == ["model.scan"]


async def test_two_scans_leave_what_one_leaves(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        lay(hermes, "cut.gguf", MODEL[:-10])
        left = []
        for _ in range(2):
            await scan(hermes, verify=True)
            left.append((await hermes.names(), hermes.files(), [event.type for event in hermes.events("model.")]))
        assert left[0] == left[1]


async def test_two_refused_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        for _ in range(2):
            lay(hermes, "bad.gguf", b"bad")
            await scan(hermes)
        assert {name for name in hermes.files() if name.endswith(".gguf")} == {
            "quarantine/bad.gguf",
            "quarantine/bad-2.gguf",
        }


async def test_a_file_still_being_written_is_left_alone(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        path = lay(hermes, "coming.gguf", MODEL[:100])
        with path.open("ab") as writer:
            report = await scan(hermes)
            assert [f["path"] for f in report["busy"]] == ["coming.gguf"]
            writer.write(MODEL[100:])
        assert [f["name"] for f in (await scan(hermes))["registered"]] == ["coming"]


async def test_a_file_that_vanished_is_marked_and_comes_back(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        path = lay(hermes, "m.gguf")
        await scan(hermes)
        aside = path.rename(tmp_path / "elsewhere.gguf")
        report = await scan(hermes)
        assert [f["name"] for f in report["missing"]] == ["m"]
        row = (await hermes.client.get("/hermes/models/m")).json()
        assert (row["compatibility"], row["enabled"]) == ("missing", True)
        assert (await hermes.client.get("/hermes/available")).json()["models"] == []
        assert len(hermes.events("model.missing")) == 1
        aside.rename(path)
        assert [f["name"] for f in (await scan(hermes))["restored"]] == ["m"]
        assert (await hermes.client.get("/hermes/models/m")).json()["compatibility"] == "ok"


async def test_a_file_that_became_another_is_read_again(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        await scan(hermes)
        other = gguf_bytes(elements=512)
        lay(hermes, "m.gguf", other)
        report = await scan(hermes)
        assert [f["name"] for f in report["changed"]] == ["m"]
        assert (await hermes.client.get("/hermes/models/m")).json()["sha256"] == sha256(other)


async def test_verifying_notices_damage_that_size_and_time_hide(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        path = lay(hermes, "m.gguf")
        await scan(hermes)
        before = path.stat()
        path.write_bytes(MODEL[:-1] + b"\x01")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (await scan(hermes))["changed"] == []
        assert [f["name"] for f in (await scan(hermes, verify=True))["changed"]] == ["m"]


async def test_a_known_file_that_broke_goes_to_quarantine_and_its_row_is_missing(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        await scan(hermes)
        lay(hermes, "m.gguf", MODEL[:-64])
        report = await scan(hermes)
        assert [f["path"] for f in report["quarantined"]] == ["m.gguf"]
        assert [f["name"] for f in report["missing"]] == ["m"]


async def test_a_file_of_the_catalogue_gets_its_name(tmp_path: Path) -> None:
    entry = CatalogueModel(
        name="proper-name",
        title="t",
        summary="s",
        task_type="chat",
        source="https://host/x.gguf",
        sha256=sha256(MODEL),
        size_bytes=len(MODEL),
        download_bytes=None,
        max_context=512,
        parameters="0",
        quantisation="F32",
        licence="Apache-2.0",
        licence_url="https://host/licence",
        tags=["known"],
        starter=False,
        over_2gb=False,
    )
    async with hermes_in(tmp_path, entries=[entry]) as hermes:
        lay(hermes, "whatever.gguf")
        assert [f["name"] for f in (await scan(hermes))["registered"]] == ["proper-name"]
        row = (await hermes.client.get("/hermes/models/proper-name")).json()
        assert (row["tags"], row["meta_info"]["licence"]) == (["known"], "Apache-2.0")
        item = (await hermes.client.get("/hermes/catalog")).json()["items"][0]
        assert item["installed"] is True
        assert (await hermes.start(name="proper-name"))["state"] == "DONE"


async def test_a_file_of_the_catalogue_that_lies_there_need_not_be_fetched(tmp_path: Path) -> None:
    entry = CatalogueModel.model_validate(
        {
            **dict.fromkeys(("title", "summary", "parameters", "quantisation", "licence", "licence_url"), "x"),
            "name": "here-already",
            "task_type": "chat",
            "source": "https://localhost:9/never-asked.gguf",
            "sha256": sha256(MODEL),
            "size_bytes": len(MODEL),
            "download_bytes": None,
            "max_context": None,
            "tags": [],
            "starter": False,
            "over_2gb": False,
        }
    )
    async with hermes_in(tmp_path, entries=[entry]) as hermes:
        lay(hermes, "mine.gguf")
        assert (await hermes.pulled(name="here-already"))["state"] == "DONE"
        assert (await hermes.client.get("/hermes/models/here-already")).json()["path"] == "mine.gguf"


async def test_registering_by_hand(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "sub/Mine.gguf")
        body = {"path": "sub/Mine.gguf", "name": "mine", "tags": ["a"], "task_type": "completion"}
        answer = await hermes.client.post("/hermes/models/register", json={**body, "sha256": sha256(MODEL)})
        assert answer.status_code == 201, answer.text
        row = answer.json()
        assert (row["name"], row["tags"], row["task_type"]) == ("mine", ["a"], "completion")
        assert row["path"] == "sub/Mine.gguf"
        other = lay(hermes, "other.gguf", gguf_bytes(salt=9))
        clash = await hermes.client.post("/hermes/models/register", json={"path": other.name, "name": "mine"})
        assert (clash.status_code, clash.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "path",
    ["../outside.gguf", "/etc/passwd", "a/../../x.gguf", ".downloads/x", "quarantine/x.gguf", "x\x00.gguf", "."],
)
async def test_nothing_outside_the_models_folder_can_be_registered(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.gguf").write_bytes(MODEL)
    async with hermes_in(tmp_path) as hermes:
        answer = await hermes.client.post("/hermes/models/register", json={"path": path})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert await hermes.names() == []


async def test_a_broken_file_given_by_hand_is_put_aside_and_said(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        for name, body, says in [
            ("cut.gguf", MODEL[:200], "header"),
            ("empty.gguf", b"", "empty"),
            ("text.txt", b"hello there", "not a GGUF"),
        ]:
            lay(hermes, name, body)
            answer = await hermes.client.post("/hermes/models/register", json={"path": name})
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (422, "bad_model_file")
            assert says in problem["detail"]
            assert problem["quarantined"] == f"quarantine/{name}"
            assert f"quarantine/{name}" in hermes.files()
        lay(hermes, "m.gguf")
        wrong = await hermes.client.post("/hermes/models/register", json={"path": "m.gguf", "sha256": "1" * 64})
        assert wrong.json()["expected_sha256"] == "1" * 64
        absent = await hermes.client.post("/hermes/models/register", json={"path": "absent.gguf"})
        assert absent.status_code == 404


async def test_a_sound_file_that_cannot_be_served_is_registered_disabled_with_the_reason(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "shard.gguf", gguf_bytes({**FACTS, "split.count": 2}))
        await scan(hermes)
        row = (await hermes.client.get("/hermes/models/shard")).json()
        assert (row["compatibility"], row["enabled"]) == ("unsupported", False)
        assert "2 shards" in row["meta_info"]["unsupported_because"]


async def test_what_people_may_change_they_change_and_a_scan_keeps_it(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        await scan(hermes)
        change = {"enabled": False, "task_type": "completion", "tags": ["mine"]}
        row = (await hermes.client.patch("/hermes/models/m", json=change)).json()
        assert {key: row[key] for key in change} == change
        await scan(hermes, verify=True)
        row = (await hermes.client.get("/hermes/models/m")).json()
        assert {key: row[key] for key in change} == change
        assert (await hermes.client.patch("/hermes/models/m", json={"path": "x"})).status_code == 422
        assert (await hermes.client.patch("/hermes/models/m", json={"tags": ["a b"]})).status_code == 422
        assert (await hermes.client.patch("/hermes/models/none", json={})).json()["code"] == "unknown_model"
        assert len(hermes.events("model.changed")) == 1


async def test_deleting_removes_the_file_only_with_its_last_row(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        path = lay(hermes, "m.gguf")
        for name in ("one", "two"):
            await hermes.client.post("/hermes/models/register", json={"path": "m.gguf", "name": name})
        assert (await hermes.client.delete("/hermes/models/one")).status_code == 200
        assert path.exists()
        assert (await hermes.client.delete("/hermes/models/two")).json()["name"] == "two"
        assert not path.exists()
        gone = await hermes.client.delete("/hermes/models/two")
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_model")
        assert [event.data["name"] for event in hermes.events("model.removed")] == ["one", "two"]


async def test_a_local_file_is_taken_without_touching_the_original(tmp_path: Path) -> None:
    original = tmp_path / "my models" / "Über Modell.gguf"
    original.parent.mkdir()
    original.write_bytes(MODEL)
    async with hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=f"file:{original}".replace(" ", "%20"))
        assert (job["state"], job["name"]) == ("DONE", "ber-modell")
        await hermes.client.delete("/hermes/models/ber-modell")
        assert original.read_bytes() == MODEL
        assert hermes.files() == set()
        wrong = await hermes.pulled(source=f"file:{original}".replace(" ", "%20"), sha256="2" * 64)
        assert wrong["error"]["code"] == "bad_model_file"
        assert original.read_bytes() == MODEL
        folder = await hermes.pulled(source=f"file:{tmp_path}")
        assert folder["error"]["code"] == "invalid"
        absent = await hermes.pulled(source=f"file:{tmp_path}/absent.gguf")
        assert absent["error"]["code"] == "not_found"


async def test_what_switch_counted_is_added_once(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        await scan(hermes)
        _use(hermes, "m", 3)
        absorb = hermes.client._transport.app.state.flows.registry.absorb_usage  # type: ignore[attr-defined]
        await absorb()
        await absorb()
        row = (await hermes.client.get("/hermes/models/m")).json()
        assert row["usage_count"] == 3
        assert row["last_used_at"] is not None
        _use(hermes, "m", 2)
        await absorb()
        await scan(hermes, verify=True)
        await absorb()
        row = await eventually(lambda: _row(hermes), lambda row: row["usage_count"] > 3)
        assert row["usage_count"] == 5


async def test_privileged_acts_leave_an_audit_row(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        lay(hermes, "m.gguf")
        await hermes.client.post("/hermes/models/register", json={"path": "m.gguf"})
        await hermes.client.patch("/hermes/models/m", json={"enabled": False})
        await hermes.client.delete("/hermes/models/m")
        await hermes.pulled(source="file:/absent.gguf")
        await scan(hermes)
        with hermes.house.db.read() as session:
            rows = session.query(AuditLog).order_by(AuditLog.id).all()
        assert [(row.action, row.target) for row in rows] == [
            ("model.register", "m"),
            ("model.patch", "m"),
            ("model.delete", "m"),
            ("model.pull", "absent"),
            ("model.scan", "models"),
        ]
        assert {row.user for row in rows} == {"admin"}


async def _row(hermes: Hermes) -> dict[str, Any]:
    return (await hermes.client.get("/hermes/models/m")).json()  # type: ignore[no-any-return]


def _use(hermes: Hermes, model: str, times: int) -> None:
    with hermes.house.db.write() as session:
        for _ in range(times):
            session.add(
                ModelUsageStat(
                    at=hermes.house.clock.now(),
                    model=model,
                    user="u",
                    correlation_id="c",
                    outcome="ok",
                    prompt_tokens=1,
                    completion_tokens=1,
                    ttft_ms=1.0,
                    latency_ms=1.0,
                    finish_reason="stop",
                )
            )
