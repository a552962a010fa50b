"""Models of the Hub: chosen, looked at, fetched; refused before the download where they do not fit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import HermesSettings
from tests.support.gguf import FACTS, gguf_bytes, header_bytes, sha256
from tests.support.hermes import Hermes, hermes_in
from tests.support.hub import FakeHub, fake_hub

MODEL = gguf_bytes(elements=200_000)
OTHER = gguf_bytes(elements=200_000, salt=5)
REPO = "ana/Tiny-1B-GGUF"
FILES = {"Tiny-1B-Q4_K_M.gguf": MODEL, "sub/Tiny-1B.Q8_0.gguf": OTHER, "README.md": b"#"}
SOURCE = f"hf:{REPO}:Q4_K_M"


@asynccontextmanager
async def both(folder: Path, *, token: str | None = None, **more: Any) -> AsyncIterator[tuple[FakeHub, Hermes]]:
    async with fake_hub() as hub:
        hub.put(REPO, dict(FILES))
        settings = HermesSettings(
            free_space_mb=0,
            chunk_kb=64,
            hf_endpoint=hub.url,
            hf_token=SecretStr(token) if token else None,
            **more.pop("hermes", {}),
        )
        async with hermes_in(folder, hermes=settings, **more) as hermes:
            yield hub, hermes


async def plan(hermes: Hermes, **body: Any) -> dict[str, Any]:
    answer = await hermes.client.post("/hermes/models/pull", json={**body, "apply": False})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_a_plan_says_what_would_come_and_fetches_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        said = await plan(hermes, source=SOURCE)
        assert (said["verdict"], said["reasons"], said["name"]) == ("pull", [], "tiny-1b-q4_k_m")
        commit = hub.repositories[REPO].commit
        assert said["resolved"] == f"hf:{REPO}@{commit}/Tiny-1B-Q4_K_M.gguf"
        assert (said["sha256"], said["size_bytes"]) == (sha256(MODEL), len(MODEL))
        card = said["card"]
        assert (card["architecture"], card["context_tokens"], card["quantisation"]) == ("llama", 512, "F32")
        assert card["header_bytes"] < 300_000
        assert said["memory"]["fits"]
        assert said["memory"]["context_tokens"] == 512
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        assert (len(served.looks), served.requests) == (1, [])
        assert hermes.files() == set()
        assert (await hermes.client.get("/hermes/jobs")).json()["items"] == []
        assert hermes.events("") == []


@pytest.mark.parametrize("source", [SOURCE, f"hf:{REPO}/sub/Tiny-1B.Q8_0.gguf", f"hf:{REPO}@main:q8_0"])
async def test_a_model_of_the_hub_arrives_verified_by_its_pointer(tmp_path: Path, source: str) -> None:
    async with both(tmp_path) as (hub, hermes):
        job = await hermes.pulled(source=source, name="tiny")
        assert (job["state"], job["error"]) == ("DONE", None)
        row = (await hermes.client.get("/hermes/models/tiny")).json()
        assert row["sha256"] == sha256(MODEL if "Q4" in source else OTHER)
        assert row["meta_info"]["source"] == source.replace("q8_0", "Q8_0")
        assert hub.repositories[REPO].commit in row["meta_info"]["resolved"]
        assert (await plan(hermes, source=source, name="tiny"))["verdict"] == "here"
        assert (await hermes.pulled(source=source, name="tiny"))["state"] == "DONE"


async def test_bytes_that_are_here_are_not_fetched_again(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        await hermes.pulled(source=SOURCE)
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        served.requests.clear()
        job = await hermes.pulled(source=f"hf:{REPO}/Tiny-1B-Q4_K_M.gguf", name="again")
        assert (job["state"], served.requests) == ("DONE", [])


async def test_what_cannot_be_loaded_is_refused_before_the_download_unless_forced(tmp_path: Path) -> None:
    async with both(tmp_path, model_memory_mb=64) as (hub, hermes):
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        said = await plan(hermes, source=SOURCE)
        assert (said["verdict"], said["memory"]["fits"], said["memory"]["budget_mb"]) == ("refused", False, 64)
        assert str(said["memory"]["need_mb"]) in said["reasons"][0]
        job = await hermes.pulled(source=SOURCE)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "not_enough_memory")
        assert "force" in job["error"]["hint"]
        assert (served.requests, hermes.files()) == ([], set())
        assert (await plan(hermes, source=SOURCE, force=True))["verdict"] == "pull"
        assert (await hermes.pulled(source=SOURCE, force=True))["state"] == "DONE"


async def test_the_disk_is_not_overruled_by_force(tmp_path: Path) -> None:
    async with fake_hub() as hub:
        hub.put(REPO, dict(FILES))
        asked = HermesSettings(free_space_mb=1 << 30, hf_endpoint=hub.url)
        async with hermes_in(tmp_path, hermes=asked) as hermes:
            said = await plan(hermes, source=SOURCE, force=True)
            assert (said["verdict"], said["disk"]["fits"]) == ("refused", False)
            job = await hermes.pulled(source=SOURCE, force=True)
            assert (job["state"], job["error"]["code"]) == ("ERROR", "disk_full")
            assert hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf").requests == []


async def test_a_header_longer_than_the_first_look_is_read_on(tmp_path: Path) -> None:
    words = {"tokenizer.ggml.tokens": [f"word{n}" for n in range(120_000)]}
    large = gguf_bytes({**FACTS, **words}, elements=500_000)
    async with both(tmp_path) as (hub, hermes):
        hub.put("ana/large", {"m.F32.gguf": large})
        said = await plan(hermes, source="hf:ana/large:F32")
        assert said["card"]["architecture"] == "llama"
        assert 1_000_000 < said["card"]["header_bytes"] < len(large)
        assert len(hub.delivered("ana/large", "m.F32.gguf").looks) > 2


async def test_an_endless_header_is_given_up(tmp_path: Path) -> None:
    endless = header_bytes({**FACTS, "tokenizer.ggml.tokens": ["x" * 60_000] * 40}, [])
    async with both(tmp_path, hermes={"look_max_mb": 1}) as (hub, hermes):
        hub.put("ana/endless", {"m.F32.gguf": endless})
        answer = await hermes.client.post("/hermes/models/pull", json={"source": "hf:ana/endless:F32", "apply": False})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_model_file")
        assert "header is larger" in answer.json()["detail"]


async def test_a_file_cut_off_on_the_hub_is_told_before_the_download(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.put("ana/cut", {"m.F32.gguf": MODEL[:-1000]})
        job = await hermes.pulled(source="hf:ana/cut:F32")
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert "cut off" in job["error"]["detail"]
        assert hub.delivered("ana/cut", "m.F32.gguf").requests == []


async def test_the_token_goes_to_the_hub_alone_and_into_no_row_or_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path, token="hf_of_the_tests") as (hub, hermes):
        hub.repositories[REPO].gated = True
        assert (await hermes.pulled(source=SOURCE))["state"] == "DONE"
        assert {token for _, token in hub.requests} == {"Bearer hf_of_the_tests"}
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        assert all("authorization" not in request for request in served.requests + served.looks)
        events = json.dumps([event.data for event in hermes.events("")])
        database = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*.db*"))
        assert "hf_of_the_tests" not in caplog.text + events
        assert b"hf_of_the_tests" not in database
        assert b"signature=secret" not in database


@pytest.mark.parametrize("token", [None, "hf_wrong"])
async def test_a_gated_repository_says_what_opens_it(tmp_path: Path, token: str | None) -> None:
    async with both(tmp_path, token=token) as (hub, hermes):
        hub.repositories[REPO].gated = True
        answer = await hermes.client.post("/hermes/models/pull", json={"source": SOURCE, "apply": False})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "VX11_HERMES_HF_TOKEN" in answer.json()["hint"]


@pytest.mark.parametrize(
    ("source", "status", "word"),
    [
        ("hf:ana/absent:Q4_K_M", 404, "repository"),
        (f"hf:{REPO}@v9:Q4_K_M", 404, "revision"),
        (f"hf:{REPO}/absent.gguf", 404, "absent.gguf"),
        (f"hf:{REPO}:Q2_K", 404, "Q4_K_M"),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(tmp_path: Path, source: str, status: int, word: str) -> None:
    async with both(tmp_path) as (_, hermes):
        answer = await hermes.client.post("/hermes/models/pull", json={"source": source, "apply": False})
        assert answer.status_code == status
        assert word in answer.json()["detail"] + str(answer.json().get("hint"))


async def test_hostile_names_in_a_listing_are_passed_over(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        names = ["../../x-Q4_0.gguf", "/etc/x-Q4_0.gguf", "a/../x-Q4_0.gguf", "a\\x-Q4_0.gguf", "x\n-Q4_0.gguf", ""]
        odd: list[dict[str, Any]] = [{"type": "file", "path": name, "size": 5} for name in names]
        odd += [{"type": "file", "path": 7}, {"type": "file", "path": "y-Q4_0.gguf", "size": -1}, {"path": "z"}]
        hub.repositories[REPO].listing = odd
        answer = await hermes.client.post("/hermes/models/pull", json={"source": f"hf:{REPO}:Q4_0", "apply": False})
        assert answer.status_code == 404
        assert "Q4_K_M" in answer.json()["hint"]
        assert (await hermes.pulled(source=SOURCE))["state"] == "DONE"
        assert hermes.files() == {"tiny-1b-q4_k_m.gguf"}


async def test_a_long_listing_is_read_page_by_page(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.put("ana/many", {**{f"m{n}-Q8_0.gguf": b"x" for n in range(5)}, "m-Q4_K_M.gguf": MODEL}, page=2)
        assert (await plan(hermes, source="hf:ana/many:Q4_K_M"))["verdict"] == "pull"


async def test_a_listing_that_goes_on_elsewhere_is_not_followed(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        elsewhere = {"Link": '<http://127.0.0.1:1/x>; rel="next"', "Content-Type": "application/json"}
        good = json.dumps({"sha": "a" * 40}).encode()
        hub.weather.answers = [(200, {}, good), (200, elsewhere, b"[]")]
        answer = await hermes.client.post("/hermes/models/pull", json={"source": SOURCE, "apply": False})
        assert (answer.status_code, answer.json()["code"]) == (502, "bad_peer")


BAD_ANSWERS = [
    (200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Sign in</title>"),
    (200, {}, b'{"sha": "../../etc"}'),
    (200, {}, b"[1]"),
    (200, {}, b"[" * 100_000),
    (418, {}, b""),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
async def test_an_answer_that_is_none_is_said(tmp_path: Path, answer: tuple[int, dict[str, str], bytes]) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.weather.answers = [answer]
        got = await hermes.client.post("/hermes/models/pull", json={"source": SOURCE, "apply": False})
        assert (got.status_code, got.json()["code"]) == (502, "bad_peer")


@pytest.mark.parametrize(
    "bad", [(500, {}, b""), (429, {"Retry-After": "1"}, b""), (200, {"Content-Length": "9"}, b"{")]
)
async def test_a_hub_that_stumbles_is_asked_again(tmp_path: Path, bad: tuple[int, dict[str, str], bytes]) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.weather.answers = [bad, bad]
        assert (await hermes.pulled(source=SOURCE))["state"] == "DONE"


async def test_a_hub_that_asks_for_a_long_rest_gets_it(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.weather.answers = [(429, {"Retry-After": "600"}, b"")]
        got = await hermes.client.post("/hermes/models/pull", json={"source": SOURCE, "apply": False})
        assert (got.status_code, got.headers["retry-after"]) == (503, "600")
        assert len(hub.requests) == 1


async def test_a_hub_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async with both(tmp_path, hermes={"look_timeout_sec": 0.3}) as (hub, hermes):
        hub.weather.silent = True
        got = await hermes.client.post("/hermes/models/pull", json={"source": SOURCE, "apply": False})
        assert (got.status_code, got.json()["code"]) == (503, "unavailable")


async def test_a_hub_that_is_not_there_is_said(tmp_path: Path) -> None:
    settings = HermesSettings(free_space_mb=0, hf_endpoint="http://127.0.0.1:9")
    async with hermes_in(tmp_path, hermes=settings) as hermes:
        job = await hermes.pulled(source=SOURCE)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "unavailable")


async def test_redirects_in_circles_end(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.weather.circle = True
        job = await hermes.pulled(source=SOURCE)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_peer")


async def test_a_listing_and_a_file_that_disagree_are_refused(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        hub.repositories[REPO].linked = {"X-Linked-Etag": f'"{"0" * 64}"'}
        job = await hermes.pulled(source=SOURCE)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_peer")
        hub.repositories[REPO].linked = {}
        hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf").body = MODEL + b"more"
        job = await hermes.pulled(source=SOURCE)
        assert "lists the file with" in job["error"]["detail"]


async def test_another_hash_than_promised_is_refused_before_the_download(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        assert (await plan(hermes, source=SOURCE, sha256="0" * 64))["verdict"] == "refused"
        job = await hermes.pulled(source=SOURCE, sha256="0" * 64)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf").requests == []


async def test_bytes_that_are_not_what_the_pointer_says_go_to_quarantine(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        hub.repositories[REPO].linked = {"X-Linked-Etag": '"xet"'}
        served.body = OTHER
        job = await hermes.pulled(source=SOURCE)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert any(name.startswith("quarantine/") for name in hermes.files())


async def test_a_download_of_the_hub_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    async with both(tmp_path) as (hub, hermes):
        served = hub.delivered(REPO, "Tiny-1B-Q4_K_M.gguf")
        served.cuts = [300_000]
        assert (await hermes.pulled(source=SOURCE))["state"] == "DONE"
        assert served.requests[-1]["range"].startswith("bytes=")
