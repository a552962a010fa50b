"""Who may do what, and what bad requests get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from config.clients import IF_BEGUN
from config.settings import HermesSettings
from tests.support.file_server import Served, file_server
from tests.support.gguf import gguf_bytes
from tests.support.hermes import hermes_in, token_of

MODEL = gguf_bytes()


WRITES = [
    ("POST", "/hermes/models/pull", {"name": "smollm2-135m-instruct"}),
    ("POST", "/hermes/models/register", {"path": "m.gguf"}),
    ("PATCH", "/hermes/models/m", {"enabled": False}),
    ("DELETE", "/hermes/models/m", None),
    ("POST", "/hermes/scan", {}),
    ("POST", "/hermes/jobs/j/cancel", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_user_may_read_but_not_write(tmp_path: Path, method: str, path: str, body: Any) -> None:
    async with hermes_in(tmp_path) as hermes:
        user = token_of(hermes, "ana", "user")
        answer = await hermes.client.request(method, path, json=body, headers=user)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
        for readable in ("models", "catalog", "available", "resources", "jobs"):
            assert (await hermes.client.get(f"/hermes/{readable}", headers=user)).status_code == 200


async def test_without_a_token_nothing_is_told(tmp_path: Path) -> None:
    async with hermes_in(tmp_path, headers={"x-other": "1"}) as hermes:
        for method, path, body in [*WRITES, ("GET", "/hermes/models", None), ("GET", "/hermes/jobs/x", None)]:
            answer = await hermes.client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (401, "auth_required")


async def test_a_user_sees_no_jobs_of_others(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put("/m.gguf", Served(MODEL)))
        user, operator = token_of(hermes, "ana", "user"), token_of(hermes, "olga", "operator")
        assert (await hermes.client.get(f"/hermes/jobs/{job['job_id']}", headers=user)).status_code == 404
        assert (await hermes.client.get("/hermes/jobs", headers=user)).json()["items"] == []
        assert (await hermes.client.get(f"/hermes/jobs/{job['job_id']}", headers=operator)).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"name": "../etc/passwd"}, "name"),
        ({"name": "UPPER"}, "name"),
        ({"name": "a" * 200}, "name"),
        ({"name": ".hidden"}, "name"),
        ({"source": "x" * 3000}, "source"),
        ({"source": "https://h/m.gguf", "sha256": "short"}, "sha256"),
        ({"source": "https://h/m.gguf", "revision": "--x"}, "revision"),
        ({"source": "https://h/m.gguf", "path": "/etc"}, "path"),
        ({"source": "javascript:alert(1)"}, "source"),
        ({"source": "http://169.254.169.254/latest/m.gguf"}, "source"),
        ({"source": "pypi:--extra-index-url=x"}, "source"),
        ({"source": "https://h/m.gguf", "revision": "main"}, "revision"),
    ],
)
async def test_bad_pulls_name_the_field(tmp_path: Path, body: dict[str, str], field: str) -> None:
    async with hermes_in(tmp_path) as hermes:
        answer = await hermes.client.post("/hermes/models/pull", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["errors"][0]["field"] == field
        assert (await hermes.client.get("/hermes/jobs")).json()["items"] == []


async def test_a_name_the_catalogue_does_not_know_is_404(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        answer = await hermes.client.post("/hermes/models/pull", json={"name": "gpt-9"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
        assert "catalog" in answer.json()["hint"]


async def test_malformed_and_huge_bodies(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        headers = {"content-type": "application/json"}
        malformed = await hermes.client.post("/hermes/models/pull", content=b"{", headers=headers)
        assert (malformed.status_code, malformed.json()["code"]) == (400, "bad_request")
        huge = await hermes.client.post("/hermes/models/pull", content=b"x" * (50 << 20), headers=headers)
        assert (huge.status_code, huge.json()["code"]) == (413, "too_large")


async def test_a_file_name_from_outside_never_becomes_a_path(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        for number, path in enumerate(("/..%2f..%2fetc%2fevil.gguf", "/%00.gguf", "/.x.gguf", "/C:%5Cx.gguf")):
            job = await hermes.pulled(source=server.put(path, Served(gguf_bytes(salt=number))))
            assert job["state"] == "DONE", job
        assert all("/" not in name for name in hermes.files())
        assert {path.name for path in tmp_path.iterdir()} == {"data", "models"}


async def test_local_files_can_be_switched_off(tmp_path: Path) -> None:
    async with hermes_in(tmp_path, hermes=HermesSettings(allow_file_sources=False, free_space_mb=0)) as hermes:
        job = await hermes.pulled(source="file:/etc/passwd")
        assert (job["state"], job["error"]["code"]) == ("ERROR", "forbidden")


async def test_an_idempotency_key_gives_the_same_answer(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        body = {"source": server.put("/m.gguf", Served(MODEL))}
        answers: list[httpx.Response] = [
            await hermes.client.post("/hermes/models/pull", json=body, headers={"idempotency-key": "k"})
            for _ in range(2)
        ]
        assert {answer.status_code for answer in answers} == {202}
        assert answers[0].json() == answers[1].json()
        other = await hermes.client.post(
            "/hermes/models/pull", json={"source": "https://h/x.gguf"}, headers={"idempotency-key": "k"}
        )
        assert other.status_code == 422


async def test_asked_what_a_key_began_it_fetches_nothing(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        body = {"source": server.put("/m.gguf", Served(MODEL))}
        asked = {"idempotency-key": "k", IF_BEGUN: "1"}
        assert (await hermes.client.post("/hermes/models/pull", json=body, headers=asked)).status_code == 404
        late = await hermes.client.post("/hermes/models/pull", json=body, headers={"idempotency-key": "k"})
        assert late.status_code == 409
        assert (await hermes.client.get("/hermes/jobs")).json()["items"] == []


async def test_the_answers_hold_no_path_of_the_host(tmp_path: Path) -> None:
    async with hermes_in(tmp_path) as hermes:
        (hermes.models / "bad.gguf").write_bytes(b"bad")
        (hermes.models / "good.gguf").write_bytes(MODEL)
        scan = await hermes.client.post("/hermes/scan")
        models = await hermes.client.get("/hermes/models")
        register = await hermes.client.post("/hermes/models/register", json={"path": "absent.gguf"})
        for answer in (scan, models, register):
            assert str(tmp_path) not in answer.text
