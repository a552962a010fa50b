"""Plans over HTTP: drawn up, waiting, confirmed once, refused, cancelled, and nobody's business but their owner's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config import audit
from config.auth import Caller, Role
from config.db_schema import (
    AuditLog,
    ConfirmationRow,
    EventRow,
    IdempotencyKey,
    IntentLog,
    LocalModelV2,
    PlanRow,
    PlanStep,
    RailsEvent,
    RailsLane,
)
from config.settings import MadreSettings
from madre.confirmation import sha256_of
from madre.lanes import BUILT_IN
from tests.support.clock import ManualClock
from tests.support.drafts import ScriptedRunner
from tests.support.power import Madre, madre_in

PLAN = "/madre/plans"


@dataclass
class Desk:
    """Madre, what her runner was told, and one person's way to speak to her."""

    madre: Madre
    runner: ScriptedRunner
    clock: ManualClock

    async def ask(self, method: str, path: str, body: Any = None, *, by: Caller, **headers: str) -> httpx.Response:
        token = self.madre.house.auth.sign(by)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.madre.client.request(method, path, json=body, headers={"x-vx11-token": token, **named})

    async def control(self, by: Caller, action: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = await self.ask("POST", "/madre/control", {"action": action, **body}, by=by)
        assert answer.status_code == status, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def confirm(self, plan: dict[str, Any], by: Caller, token: str | None = None) -> httpx.Response:
        body = {"confirm_token": token or plan["confirm_token"]}
        return await self.ask("POST", f"{PLAN}/{plan['plan_id']}/confirm", body, by=by)

    async def show(self, plan: dict[str, Any], by: Caller) -> dict[str, Any]:
        answer = await self.ask("GET", f"{PLAN}/{plan['plan_id']}", by=by)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def rows(self, table: Any) -> list[Any]:
        return await self.madre.house.db.reading(lambda session: list(session.scalars(select(table))))


OLGA = Caller("olga", Role.OPERATOR, "token-olga")
OTTO = Caller("otto", Role.OPERATOR, "token-otto")
ANA = Caller("ana", Role.USER, "token-ana")
EVA = Caller("eva", Role.USER, "token-eva")


@asynccontextmanager
async def desk_in(folder: Path, **changes: Any) -> AsyncIterator[Desk]:
    clock, runner = ManualClock(), ScriptedRunner()
    async with madre_in(folder, clock=clock, runner=runner, **changes) as madre:
        yield Desk(madre, runner, clock)


def with_a_model(session: Session, name: str, now: Any, *, enabled: bool = True) -> None:
    session.merge(
        LocalModelV2(
            name=name,
            engine="llama.cpp",
            path=f"{name}.gguf",
            size_bytes=1,
            sha256="ab" * 32,
            task_type="chat",
            max_context=512,
            enabled=enabled,
            compatibility="ok",
            tags=[],
            meta_info={},
            created_at=now,
            updated_at=now,
        )
    )


async def test_a_harmless_action_starts_at_once(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(ANA, "power.state")
        assert (plan["status"], plan["risk"], plan["confirm_token"], plan["user"]) == ("RUNNING", "LOW", None, "ana")
        assert desk.runner.started == [plan["plan_id"]]
        assert plan["steps"][0]["action"] == "power.state"
        assert await desk.show(plan, ANA) == plan


async def test_a_risky_one_waits_and_its_token_starts_it_once(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        assert (plan["status"], plan["risk"]) == ("WAITING", "MED")
        assert "MED: power.apply_policy: put a power policy in force" in plan["reasons"]
        assert desk.runner.started == []
        shown = await desk.show(plan, OLGA)
        assert (shown["confirm_token"], shown["plan_hash"]) == (None, plan["plan_hash"])
        confirmed = (await desk.confirm(plan, OLGA)).json()
        assert (confirmed["status"], confirmed["confirm_token"]) == ("RUNNING", None)
        assert desk.runner.started == [plan["plan_id"]]
        replayed = await desk.confirm(plan, OLGA)
        assert (replayed.status_code, replayed.json()["code"]) == (409, "confirmation_refused")
        assert replayed.json()["reason"] == "used"
        assert desk.runner.started == [plan["plan_id"]]


async def test_no_token_is_kept_anywhere(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        body = {"action": "power.apply_policy", "target": "full"}
        answer = await desk.ask("POST", "/madre/control", body, by=OLGA, idempotency_key="once")
        token = answer.json()["confirm_token"]
        again = await desk.ask("POST", "/madre/control", body, by=OLGA, idempotency_key="once")
        assert (again.json()["plan_id"], again.json()["confirm_token"]) == (answer.json()["plan_id"], "[redacted]")
        (row,) = await desk.rows(ConfirmationRow)
        assert (row.token_sha256, row.user, row.used_at) == (sha256_of(token), "olga", None)
        kept = [str(vars(one)) for table in (ConfirmationRow, IdempotencyKey, EventRow, AuditLog, PlanRow, IntentLog)
                for one in await desk.rows(table)]  # fmt: skip
        assert kept
        assert not [text for text in kept if token in text]


async def test_two_confirmations_at_once_run_it_once(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        answers = await asyncio.gather(*(desk.confirm(plan, OLGA) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        assert desk.runner.started == [plan["plan_id"]]


async def test_the_same_command_with_its_token_confirms_it(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        token = plan["confirm_token"]
        for refused in (
            await desk.control(OLGA, "power.apply_policy", 409, target="solo_madre", confirm_token=token),
            await desk.control(OLGA, "power.hold_window", 409, confirm_token=token),
        ):
            assert refused["code"] == "confirmation_refused"
        assert desk.runner.started == []
        confirmed = await desk.control(OLGA, "power.apply_policy", target="full", confirm_token=token)
        assert (confirmed["status"], confirmed["plan_id"]) == ("RUNNING", plan["plan_id"])
        assert desk.runner.started == [plan["plan_id"]]


async def test_a_service_that_is_aimed_at_is_no_windows_name(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        for action in ("power.close_window", "power.hold_window"):
            plan = await desk.control(OLGA, action, target="switch")
            told = plan["steps"][0]["arguments"]
            assert (told["window_id"], told["services"]) == (None, ["switch"])
        refused = await desk.control(OLGA, "models.load", 422, target="switch", params={"model": "gemma"})
        assert (refused["code"], refused["hint"]) == ("invalid", "It takes: model, ttl_sec.")


async def test_another_users_plan_is_not_there(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(ANA, "plans.cancel", target="plan-1")
        path = f"{PLAN}/{plan['plan_id']}"
        nobody = f"{PLAN}/plan-0000000000000000"
        for method, end, body in (
            ("GET", "", None),
            ("POST", "/confirm", {"confirm_token": plan["confirm_token"]}),
            ("POST", "/review", None),
            ("POST", "/cancel", {}),
        ):
            refused = await desk.ask(method, path + end, body, by=EVA)
            missing = await desk.ask(method, nobody + end, body, by=EVA)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
            assert refused.json()["detail"] == missing.json()["detail"].replace(
                "plan-0000000000000000", plan["plan_id"]
            )
        assert (await desk.ask("GET", PLAN, by=EVA)).json()["items"] == []
        for whose in ("ana", "*"):
            assert (await desk.ask("GET", f"{PLAN}?user={whose}", by=EVA)).json()["code"] == "not_found"
        assert (await desk.ask("GET", f"{PLAN}?user=eva", by=EVA)).json()["items"] == []
        refused = await desk.ask(
            "POST",
            "/madre/control",
            {"action": "plans.cancel", "target": "plan-1", "confirm_token": plan["confirm_token"]},
            by=EVA,
        )
        assert refused.status_code == 404
        assert (await desk.show(plan, ANA))["status"] == "WAITING"
        assert desk.runner.started == []


async def test_an_operator_acts_on_anothers_plan_in_their_own_name_and_that_is_on_record(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        stolen = await desk.confirm(plan, OTTO)
        assert (stolen.status_code, stolen.json()["reason"]) == (409, "wrong_token")
        assert (await desk.show(plan, OTTO))["plan_id"] == plan["plan_id"]
        reviewed = (await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/review", by=OTTO)).json()
        assert (await desk.confirm(plan, OLGA)).json()["reason"] == "void"
        assert (await desk.confirm(reviewed, OTTO)).status_code == 200
        acts = [(row.user, row.action, row.detail["of"], row.detail["override"]) for row in await desk.rows(AuditLog)]
        assert acts == [
            ("otto", "plan.read", "olga", True),
            ("otto", "plan.review", "olga", True),
            ("otto", "plan.confirm", "olga", True),
        ]
        assert (await desk.madre.house.db.reading(audit.verify)).is_intact


async def test_a_state_that_changed_is_refused_and_told_and_may_be_reviewed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        now = desk.clock.now()
        await desk.madre.house.db.writing(with_a_model, "gemma", now)
        await desk.madre.house.db.writing(with_a_model, "smol", now)
        plan = await desk.control(OLGA, "models.delete", target="gemma")
        assert plan["risk"] == "HIGH"
        await desk.madre.house.db.writing(with_a_model, "gemma", now, enabled=False)
        refused = await desk.confirm(plan, OLGA)
        assert (refused.status_code, refused.json()["code"]) == (409, "stale_plan")
        (change,) = refused.json()["changes"]
        assert change == {
            "what": "model gemma",
            "was": "enabled, abababababab",
            "now": "disabled, abababababab",
        }
        assert desk.runner.started == []
        fresh = (await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/review", by=OLGA)).json()
        assert fresh["plan_hash"] == plan["plan_hash"]
        assert (plan["facts"]["model gemma"], fresh["facts"]["model gemma"]) == (change["was"], change["now"])
        assert (await desk.confirm(plan, OLGA)).json()["reason"] == "void"
        assert (await desk.confirm(fresh, OLGA)).json()["status"] == "RUNNING"
        verdicts = [row.verdict for row in await desk.rows(RailsEvent)]
        assert verdicts == ["stale_plan", "void"]


async def test_a_window_opened_meanwhile_makes_a_policy_stale(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        window = await desk.madre.open("switch")
        refused = (await desk.confirm(plan, OLGA)).json()
        assert refused["code"] == "stale_plan"
        assert refused["changes"][0]["what"] == f"window {window['window_id']}"


async def test_a_review_finds_that_the_risk_has_grown(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        now = desk.clock.now()
        for name in ("gemma", "smol"):
            await desk.madre.house.db.writing(with_a_model, name, now)
        plan = await desk.control(OLGA, "models.disable", target="gemma")
        assert plan["risk"] == "MED"
        await desk.madre.house.db.writing(with_a_model, "smol", now, enabled=False)
        refused = (await desk.confirm(plan, OLGA)).json()
        assert (refused["code"], refused["changes"]) == (
            "stale_plan",
            [
                {
                    "what": "risk of step 1 (models.disable)",
                    "was": "MED",
                    "now": "HIGH: gemma is the only model that can be used",
                }
            ],
        )
        assert (desk.runner.started, (await desk.show(plan, OLGA))["status"]) == ([], "WAITING")
        fresh = (await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/review", by=OLGA)).json()
        assert (fresh["risk"], fresh["plan_hash"] == plan["plan_hash"]) == ("HIGH", False)
        assert fresh["reasons"][0] == "HIGH: gemma is the only model that can be used"
        assert (await desk.confirm(fresh, OLGA)).status_code == 200


async def test_a_lane_that_was_closed_meanwhile_lets_nothing_start(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")

        def close(session: Session) -> None:
            session.execute(update(RailsLane).where(RailsLane.domain == "power").values(enabled=False))

        await desk.madre.house.db.writing(close)
        refused = await desk.confirm(plan, OLGA)
        assert (refused.status_code, refused.json()["code"], desk.runner.started) == (404, "lane_missing", [])
        assert [row.verdict for row in await desk.rows(RailsEvent)] == ["lane_missing"]


async def test_a_token_expires_and_the_plan_can_be_reviewed_until_its_day_is_over(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        desk.clock.advance(600)
        refused = (await desk.confirm(plan, OLGA)).json()
        assert (refused["code"], refused["reason"]) == ("confirmation_refused", "expired")
        fresh = (await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/review", by=OLGA)).json()
        desk.clock.advance(86_400)
        await desk.madre.app.state.planning.plans.sweep()
        ended = await desk.show(plan, OLGA)
        assert (ended["status"], ended["error"]["detail"]) == ("CANCELLED", "nobody confirmed it in time")
        assert (await desk.confirm(fresh, OLGA)).json()["reason"] == "void"
        assert (await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/review", by=OLGA)).status_code == 409


async def test_a_plan_that_somebody_changed_in_the_database_is_not_confirmed(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "models.disable", target="gemma")

        def tamper(session: Session) -> None:
            session.execute(update(PlanStep).values(arguments={"model": "smol"}))

        await desk.madre.house.db.writing(tamper)
        assert (await desk.confirm(plan, OLGA)).json()["reason"] == "changed"
        assert desk.runner.started == []


async def test_rights_that_were_lost_meanwhile_confirm_nothing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        refused = await desk.confirm(plan, Caller("olga", Role.USER, "token-olga"))
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
        assert (await desk.confirm(plan, OLGA)).status_code == 200


async def test_cancelling_a_waiting_plan_ends_it_and_its_tokens(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        path = f"{PLAN}/{plan['plan_id']}/cancel"
        ended = (await desk.ask("POST", path, {"reason": "changed my mind"}, by=OLGA)).json()
        assert (ended["status"], ended["error"]["detail"]) == ("CANCELLED", "cancelled by olga: changed my mind")
        assert ended["steps"][0]["status"] == "CANCELLED"
        assert (await desk.ask("POST", path, {}, by=OLGA)).json() == ended
        assert (await desk.confirm(plan, OLGA)).json()["reason"] == "void"
        assert (desk.runner.started, desk.runner.cancelled) == ([], [])


async def test_cancelling_a_running_plan_asks_its_runner(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(ANA, "power.state")
        path = f"{PLAN}/{plan['plan_id']}/cancel"
        assert (await desk.ask("POST", path, {}, by=ANA)).json()["status"] == "RUNNING"
        assert desk.runner.cancelled == [plan["plan_id"]]
        (row,) = await desk.rows(PlanRow)
        assert row.cancel_asked_at == desk.clock.now()


async def test_a_plan_that_is_over_is_not_cancelled(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(ANA, "power.state")

        def done(session: Session) -> None:
            session.execute(update(PlanRow).values(status="DONE", finished_at=desk.clock.now()))

        await desk.madre.house.db.writing(done)
        refused = await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/cancel", {}, by=ANA)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_lists_are_cut_into_pages_newest_first(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        made = []
        for number in range(5):
            desk.clock.advance(1)
            made.append((await desk.control(ANA if number % 2 else OLGA, "power.state"))["plan_id"])
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await desk.ask("GET", f"{PLAN}?user=*&limit=2&cursor={cursor}", by=OLGA)).json()
            seen += [item["plan_id"] for item in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == list(reversed(made))
        mine = (await desk.ask("GET", PLAN, by=ANA)).json()["items"]
        assert [item["plan_id"] for item in mine] == [made[3], made[1]]
        olgas = (await desk.ask("GET", PLAN, by=OLGA)).json()["items"]
        assert [item["plan_id"] for item in olgas] == [made[4], made[2], made[0]]
        assert (await desk.ask("GET", f"{PLAN}?status=WAITING", by=OLGA)).json()["items"] == []
        assert (await desk.ask("GET", f"{PLAN}?cursor=nonsense", by=OLGA)).status_code == 422


async def test_looking_through_others_plans_is_on_record_page_by_page(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        anas = (await desk.control(ANA, "power.state"))["plan_id"]
        own = (await desk.control(OLGA, "power.state"))["plan_id"]
        before = len(await desk.rows(AuditLog))
        for unseen in (PLAN, f"{PLAN}?user=olga"):
            assert [item["plan_id"] for item in (await desk.ask("GET", unseen, by=OLGA)).json()["items"]] == [own]
        assert len(await desk.rows(AuditLog)) == before
        named = (await desk.ask("GET", f"{PLAN}?user=ana", by=OLGA)).json()["items"]
        assert [item["plan_id"] for item in named] == [anas]
        cursor = (await desk.ask("GET", f"{PLAN}?user=*&limit=1", by=OLGA)).json()["next_cursor"]
        await desk.ask("GET", f"{PLAN}?user=*&limit=1&cursor={cursor}", by=OLGA)
        looks = [(row.user, row.action, row.target, row.detail) for row in (await desk.rows(AuditLog))[before:]]
        assert sorted(looks, key=str) == sorted(
            (
                ("olga", "plan.list", whose, {"of": whose, "override": True, "plans": seen})
                for whose, seen in (("ana", [anas]), ("*", []), ("*", [anas]))
            ),
            key=str,
        )


async def test_what_cannot_be_done_leaves_no_plan_and_is_on_record(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        assert (await desk.control(ANA, "house.burn_down", 404))["code"] == "lane_missing"
        assert (await desk.control(ANA, "models.delete", 403, target="gemma"))["code"] == "role_required"
        assert (await desk.control(ANA, "scan.run", 404))["code"] == "service_absent"
        assert (await desk.control(OLGA, "models.delete", 422))["errors"][0]["field"] == "model"
        assert await desk.rows(PlanRow) == []
        logged = [(row.action, row.outcome) for row in await desk.rows(IntentLog)]
        assert logged == [
            ("house.burn_down", "lane_missing"),
            ("models.delete", "role_required"),
            ("scan.run", "service_absent"),
            ("models.delete", "invalid"),
        ]
        assert [row.verdict for row in await desk.rows(RailsEvent)] == [
            "lane_missing",
            "role_required",
            "service_absent",
        ]


async def test_a_lane_that_somebody_closed_stays_closed_and_the_intent_ends_lane_missing(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        assert len(await desk.rows(RailsLane)) == len(BUILT_IN)

        def close(session: Session) -> None:
            session.execute(update(RailsLane).where(RailsLane.domain == "db").values(enabled=False))

        await desk.madre.house.db.writing(close)
        await desk.madre.app.state.planning.plans.put_lanes()
        refused = await desk.control(ANA, "db.sanity", 404)
        assert (refused["code"], "db/sanity" in refused["detail"]) == ("lane_missing", True)
        assert [row.outcome for row in await desk.rows(IntentLog)] == ["lane_missing"]
        assert [(row.verdict, row.lane) for row in await desk.rows(RailsEvent)] == [("lane_missing", "db/sanity")]


async def test_one_user_has_so_many_open_plans_and_no_more(tmp_path: Path) -> None:
    async with desk_in(tmp_path, madre=MadreSettings(open_plans_per_user=2)) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        await desk.control(OLGA, "power.state")
        refused = await desk.control(OLGA, "power.state", 429)
        assert refused["code"] == "rate_limited"
        await desk.control(ANA, "power.state")
        await desk.ask("POST", f"{PLAN}/{plan['plan_id']}/cancel", {}, by=OLGA)
        await desk.control(OLGA, "power.state")


async def test_events_tell_of_plans_without_their_contents(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        plan = await desk.control(OLGA, "power.apply_policy", target="full")
        await desk.confirm(plan, OLGA)
        told = [(row.type, row.data["plan_id"]) for row in await desk.rows(EventRow) if row.type.startswith("plan.")]
        assert told == [("plan.planned", plan["plan_id"]), ("plan.confirmed", plan["plan_id"])]


async def test_maintenance_takes_old_plans_with_their_steps_and_leaves_what_waits(tmp_path: Path) -> None:
    async with desk_in(tmp_path) as desk:
        waiting = await desk.control(OLGA, "power.apply_policy", target="full")
        over = await desk.control(OLGA, "power.apply_policy", target="full")
        await desk.ask("POST", f"{PLAN}/{over['plan_id']}/cancel", {}, by=OLGA)
        desk.clock.advance(91 * 86_400)
        looked = await desk.madre.post("maintenance")
        assert looked["findings"]["rows_past_term"]["plans"] == 1
        assert len(await desk.rows(PlanRow)) == 2
        applied = await desk.madre.post("maintenance", {"apply": True})
        assert applied["findings"]["rows_deleted"]["plans"] == 1
        assert [row.plan_id for row in await desk.rows(PlanRow)] == [waiting["plan_id"]]
        assert {row.plan_id for row in await desk.rows(PlanStep)} == {waiting["plan_id"]}
        assert {row.plan_id for row in await desk.rows(ConfirmationRow)} == {waiting["plan_id"]}
