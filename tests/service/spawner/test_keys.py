"""What a key has begun is known to spawner as long as the job is, whatever was killed in between."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from config.auth import Caller, Role
from config.clients import IF_BEGUN
from config.contracts.spawning import SpawnOrder
from config.errors import Conflict
from spawner.flows.jobs import Jobs
from tests.support.spawner import Spawner, spawner_in


async def jobs_of(spawner: Spawner) -> list[str]:
    return [job["spawn_id"] for job in (await spawner.client.get("/spawner/jobs")).json()["items"]]


async def test_a_job_and_its_answer_are_one_write(tmp_path: Path) -> None:
    def lost(_session: Session, _answer: object) -> None:
        raise Conflict("its key was given up")

    async with spawner_in(tmp_path) as spawner:
        transport = spawner.client._transport
        assert isinstance(transport, httpx.ASGITransport)
        assert isinstance(transport.app, FastAPI)
        jobs: Jobs = transport.app.state.flows.jobs
        with pytest.raises(Conflict):
            await jobs.spawn(Caller("ana", Role.OPERATOR, "t"), SpawnOrder(code="x"), lost)
        assert await jobs_of(spawner) == []


async def test_asked_what_a_key_began_it_runs_nothing(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        spawn_id = await spawner.spawn("x", {"idempotency-key": "k"})
        asked = [
            await spawner.client.post(
                "/spawner/spawn", json={"code": "x"}, headers={"idempotency-key": key, IF_BEGUN: "1"}
            )
            for key in ("k", "another")
        ]
        assert [answer.status_code for answer in asked] == [202, 404]
        assert asked[0].json()["spawn_id"] == spawn_id
        assert await jobs_of(spawner) == [spawn_id]
