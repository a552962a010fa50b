"""What is known of a plan before it is confirmed: that it cannot succeed, and how much it would delete."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.db_schema import EventRow, IntentLog, PlanRow, PowerEvent
from tests.support.clock import ManualClock
from tests.support.power import madre_in
from tests.support.speech import ADA, OLGA, spoken_to

DAY_SEC = 86_400


@pytest.mark.parametrize("order", ["restart switch in 10 minutes", "reinicia switch en 10 minutos", "stop hermes"])
async def test_what_the_settings_forbid_is_refused_when_it_is_ordered_and_not_when_it_is_due(
    tmp_path: Path, order: str
) -> None:
    async with spoken_to(tmp_path) as madre:
        answer = await madre.say(order)
        assert (answer["status"], answer["error"]["code"], answer["plan_id"]) == ("ERROR", "control_disabled", None)
        assert "VX11_ALLOW_SERVICE_CONTROL=1" in answer["hint"]
        named = {"action": "service.restart", "target": "switch"}
        refused = await madre.call("POST", "control", OLGA, json=named)
        assert (refused.status_code, refused.json()["code"]) == (403, "control_disabled")
        with madre.house.db.read() as session:
            assert session.scalar(select(func.count()).select_from(PlanRow)) == 0
            assert set(session.scalars(select(IntentLog.outcome))) == {"control_disabled"}


async def test_where_services_may_be_controlled_only_what_is_never_done_is_refused(tmp_path: Path) -> None:
    async with madre_in(tmp_path, allow_service_control=True) as madre:

        async def ordered(action: str, target: str) -> httpx.Response:
            return await madre.client.post("/madre/control", json={"action": action, "target": target})

        assert (await ordered("service.restart", "switch")).json()["status"] == "WAITING"
        assert (await ordered("service.stop", "madre")).json()["code"] == "conflict"
        absent = await ordered("service.start", "hormiguero")
        assert (absent.status_code, absent.json()["code"]) == (404, "service_absent")


@pytest.mark.parametrize("order", ["open switch for 10 minutes", "abre switch 10 minutos"])
async def test_the_readmes_order_is_done_at_once(tmp_path: Path, order: str) -> None:
    async with spoken_to(tmp_path) as madre:
        answer = await madre.say(order)
        assert (answer["risk"], answer["actions"][0]["action"]) == ("LOW", "power.open_window")
        assert answer["status"] == "DONE"


async def test_who_confirms_maintenance_is_told_what_it_would_delete(tmp_path: Path) -> None:
    clock = ManualClock()

    def with_old_rows(session: Session) -> None:
        for _ in range(3):
            session.add(EventRow(at=clock.now(), type="x", source="madre", severity="info", correlation_id="", data={}))
        act = {"service": "switch", "act": "start", "reason": "", "outcome": "ok", "elapsed_ms": 0, "detail": {}}
        session.add(PowerEvent(at=clock.now(), **act))

    async with spoken_to(tmp_path, clock=clock) as madre:
        await madre.call("POST", "autonomous/start", ADA, json={"shadow": False})
        apply = {"action": "system.maintenance", "params": {"apply": True}}
        fresh = (await madre.call("POST", "control", ADA, json=apply)).json()
        assert fresh["reasons"][0] == "maintenance would delete 0 rows past their term, and make a backup"
        await madre.house.db.writing(with_old_rows)
        clock.advance(31 * DAY_SEC)
        dry = (await madre.call("POST", "power/maintenance", ADA, json={})).json()["findings"]["rows_past_term"]
        await madre.autonomy.tick()
        (plan,) = [
            one for one in (await madre.call("GET", "plans", ADA)).json()["items"] if one["source"] == "autonomy"
            and one["steps"][0]["action"] == "system.maintenance"
        ]  # fmt: skip
        assert plan["reasons"][0].startswith(f"maintenance would delete {sum(dry.values())} rows past their term (")
        assert f"events {dry['events']}," in plan["reasons"][0]
        assert "audit_logs" not in plan["reasons"][0]
        later = (await madre.call("POST", f"plans/{fresh['plan_id']}/review", ADA)).json()
        assert later["reasons"][0] != fresh["reasons"][0]
        assert len([reason for reason in later["reasons"] if "would delete" in reason]) == 1
        confirm = {"confirm_token": later["confirm_token"]}
        with madre.house.db.write() as session:  # one more comes of age, which makes no plan stale
            with_old_rows(session)
        clock.advance(1)
        confirmed = await madre.call("POST", f"plans/{fresh['plan_id']}/confirm", ADA, json=confirm)
        assert confirmed.status_code == 200, confirmed.text
