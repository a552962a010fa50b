"""What `./vx11 autonomy` asks of madre, and how it tells what was or would have been done."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from scripts.cli import autonomy
from tests.support.front_door import Gateway, door_to

SINCE = "2026-11-20T08:00:00Z"
WOULD: dict[str, Any] = {
    "rule": "db.unchecked",
    "subject": "database",
    "action": "db.sanity",
    "arguments": {},
    "risk": None,
    "verdict": "would_have_done",
    "why": "shadow: db.sanity was not planned",
}
RESTS = {**WOULD, "verdict": "cooling_down", "why": "left alone until 2026-11-21T12:15:00Z"}
ACTED = {**WOULD, "verdict": "delegated", "risk": "LOW", "why": "db.sanity runs", "plan_id": "plan-1"}


def tick(number: int, outcome: str, *decisions: dict[str, Any], **more: Any) -> dict[str, Any]:
    at = f"2026-11-21T12:{number:02}:00Z"
    kept = {"id": number, "at": at, "mode": "shadow", "started_by": "ada", "inputs": {}, "findings": []}
    return {**kept, "decisions": decisions, "outcome": outcome, "note": "", "elapsed_ms": 1, **more}


def state(*ticks: dict[str, Any], cursor: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "mode": "shadow",
        "since": SINCE,
        "started_by": "ada",
        "reason": "a first look",
        "interval_sec": 30,
        "last_tick_at": None,
        "budget": {"acts_per_hour": 6, "used": 1, "left": 5},
        "cooling": [],
        "ticks": {"items": ticks, "next_cursor": cursor},
        **more,
    }


def said(gateway: Gateway, *words: str) -> list[str]:
    parser = ArgumentParser()
    autonomy.arguments(parser)
    with door_to(gateway) as door:
        return autonomy.act(parser.parse_args(words), door)


def test_what_would_have_been_done_is_told_with_its_why_and_what_recurs_is_told_once() -> None:
    gateway = Gateway()
    newer = state(tick(9, "quiet"), tick(8, "held_back", RESTS), tick(7, "held_back", RESTS), cursor="c")
    older = state(tick(6, "held_back", RESTS), tick(5, "would_have_acted", WOULD))
    gateway.on("GET", "/madre/autonomous", newer, older)
    assert said(gateway) == [
        "shadow since 2026-11-20 08:00:00 UTC, by ada (a first look)",
        "looks every 30 s; 1 of 6 acts of this hour are used",
        "11-21 12:09:00: quiet",
        "11-21 12:06:00 to 11-21 12:08:00, 3 ticks: held back",
        "  db.unchecked (database): cooling down; left alone until 2026-11-21T12:15:00Z",
        "11-21 12:05:00: would have acted",
        "  db.unchecked (database): would have planned db.sanity; shadow: db.sanity was not planned",
    ]


def test_no_more_is_asked_for_than_is_shown() -> None:
    gateway = Gateway()
    gateway.on(
        "GET", "/madre/autonomous", state(tick(9, "quiet"), tick(8, "acted", ACTED), tick(7, "quiet"), cursor="c")
    )
    assert said(gateway, "status", "--last", "2")[2:] == [
        "11-21 12:09:00: quiet",
        "11-21 12:08:00: acted",
        "  db.unchecked (database): planned db.sanity, LOW; db.sanity runs: ./vx11 plans show plan-1",
    ]
    assert len(gateway.asked) == 1


def test_a_tick_that_failed_says_of_what() -> None:
    gateway = Gateway()
    gateway.on("GET", "/madre/autonomous", state(tick(9, "failed", note="OSError")))
    assert said(gateway)[-1] == "  OSError"


def test_it_is_turned_on_and_off() -> None:
    gateway = Gateway()
    gateway.on("POST", "/madre/autonomous/start", state())
    gateway.on("POST", "/madre/autonomous/stop", state(mode="off"))
    said(gateway, "shadow")
    said(gateway, "on", "--acts", "2", "--reason", "r")
    assert said(gateway, "off") == ["off since 2026-11-20 08:00:00 UTC, by ada (a first look)"]
    assert [body for _, _, body in gateway.asked] == [
        {"shadow": True, "reason": ""},
        {"shadow": False, "acts_per_hour": 2, "reason": "r"},
        {"reason": ""},
    ]


def test_what_nobody_has_turned_on_says_how_to_begin() -> None:
    gateway = Gateway()
    gateway.on("GET", "/madre/autonomous", state(mode="off", since=None, started_by=None, reason=""))
    assert said(gateway) == ["off; nobody has turned it on yet. A first look: ./vx11 autonomy shadow"]
