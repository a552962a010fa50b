"""What each phase does and insists on. CommandFailed ends a phase; what it noted until then is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from config.contracts.power import Window, WindowClose, WindowOpen
from config.contracts.prompts import SwitchChat
from config.services import CORE
from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed
from scripts.cli.picking import first_chat_model
from scripts.conductor.stage import WOKEN, Stage, must, state_of, until

REASON = "end-to-end conductor"
_WINDOW_SEC = 1800.0
_QUIET_WITHIN_SEC = 60.0
_QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
_NO_MODEL = "no-model-has-this-name"
Phase = Callable[[Stage], None]


def open_window(stage: Stage) -> None:
    """Bring the fleet to solo_madre, then hold every service that sleeps in one window."""
    before = stage.door.power()
    stage.close_woken()
    others = [window for window in stage.door.power().windows if window.opened_by != WOKEN]
    if others:
        words = ", ".join(f"{window.window_id} by {window.opened_by}" for window in others)
        raise CommandFailed(f"Somebody else holds windows ({words}); the conductor needs the fleet for itself.")
    if before.policy == "full":
        stage.restores_full = True
        stage.door.apply_policy("solo_madre")
    services = list(stage.sleepers())
    order = WindowOpen(services=services, ttl_sec=_WINDOW_SEC, reason=REASON)
    began = time.monotonic()
    stage.window = stage.door.open_window(order)
    stage.note("window opened", **_shown(stage.window), seconds=round(time.monotonic() - began, 3))
    must(stage.window.state == "open", f"The window is {stage.window.state}, not open.")
    again = stage.door.open_window(order)
    stage.note("the same window asked for again", window_id=again.window_id)
    must(again.window_id == stage.window.window_id, "Opening the same set again made a second window.")
    status = stage.settled_status()
    must(status.policy == "windowed", f"The policy shows as {status.policy}, not as windowed.")
    for service in services:
        state = next(one.state for one in status.services if one.name == service)
        must(state == "ready", f"{service} is {state} although its window is open.")


def check_health(stage: Stage) -> None:
    """Ask every service that should be up, by its own port, how it is; and see that each is measured."""
    for service in (*CORE, *stage.sleepers()):
        with stage.beside(service) as door:
            began = time.monotonic()
            health = door.health()
            elapsed_ms = round(1000 * (time.monotonic() - began), 2)
            stage.note(f"health of {service}", elapsed_ms=elapsed_ms, **health.model_dump(mode="json"))
            must(health.status == "ok", f"{service} says of itself that it is {health.status}.")
            must(health.module == service, f"On the port of {service} answers {health.module}.")
            must(door.is_ready(), f"{service} is not ready.")
    status = stage.settled_status()
    must(not status.degraded, f"The status is degraded: {'; '.join(status.notes)}")
    stage.memory_awake_mb = sum(one.memory_mb or 0.0 for one in status.services)
    for one in status.services:
        if one.state == "ready" and one.figures.usage is not None:
            stage.note(f"figures of {one.name}", **one.figures.usage.model_dump())


def real_flows(stage: Stage) -> None:
    """Use what is up as people do: a real model answers through the door, and what that leaves is right."""
    up = stage.sleepers()
    flows = [flow for flow, needs in FLOWS if set(needs) <= set(up)]
    must(bool(flows), "There is no service here to have a flow with.")
    for flow in flows:
        began = time.monotonic()
        flow(stage)
        stage.note(f"flow finished: {flow.__name__}", seconds=round(time.monotonic() - began, 3))


def close_window(stage: Stage) -> None:
    """Close the window, and those that requests opened meanwhile; closing it twice is once."""
    window = stage.opened
    began = time.monotonic()
    closed = stage.door.close_window(WindowClose(window_id=window.window_id))
    stage.note("window closed", **_shown(closed), seconds=round(time.monotonic() - began, 3))
    stage.note("windows of woken services closed", count=stage.close_woken())
    must(closed.state in ("closing", "closed"), f"The window is {closed.state}, not closed.")
    again = stage.door.close_window(WindowClose(window_id=window.window_id))
    must(again.state in ("closing", "closed"), f"Closed again, the window is {again.state}.")


def verify_solo_madre(stage: Stage) -> None:
    """See that only the core is left, nothing holds anything, and neither database nor audit trail took harm."""
    sleepers = stage.sleepers()
    power = until(
        stage.door.power,
        lambda seen: all(state_of(seen, name) == "asleep" for name in sleepers),
        _QUIET_WITHIN_SEC,
    )
    stage.note("states", **{one.name: one.state for one in power.services})
    for service in sleepers:
        state = state_of(power, service)
        must(state == "asleep", f"{service} is {state} {_QUIET_WITHIN_SEC:g} s after its window was closed.")
    must(power.policy == "solo_madre", f"The policy shows as {power.policy}, not as solo_madre.")
    must(not power.windows, f"{len(power.windows)} windows are left.")
    for service in CORE:
        must(state_of(power, service) == "ready", f"{service} is {state_of(power, service)}.")
    memory_mb = sum(one.memory_mb or 0.0 for one in power.services)
    stage.note("memory", awake_mb=round(stage.memory_awake_mb, 1), asleep_mb=round(memory_mb, 1))
    must(
        memory_mb < stage.memory_awake_mb or not stage.memory_awake_mb,
        f"The fleet takes {memory_mb:.0f} MiB asleep, no less than awake ({stage.memory_awake_mb:.0f}).",
    )
    report = stage.door.look_over()
    stage.note("database", integrity=report.integrity, **report.findings)
    must(report.integrity == "ok", f"The database's integrity check says: {report.integrity}")
    must(report.findings["audit_broken_at"] is None, "The audit chain is broken.", "See ./vx11 doctor.")


def chat_through_the_door(stage: Stage) -> None:
    """A streamed chat in OpenAI's form, with the smallest model; a second turn too."""
    model = first_chat_model(stage.door)
    for turn in (1, 2):
        text, tokens, first_sec = _streamed(stage.door, model)
        stage.note(f"chat, turn {turn}", model=model, reply=text, tokens=tokens, first_piece_sec=first_sec)
        must(bool(text.strip()), f"{model} said nothing.")
        must(bool(tokens), f"{model} did not count its tokens.")


def chat_by_choice(stage: Stage) -> None:
    """Switch chooses who answers, and says who it was and why."""
    answer = stage.door.ask_switch(SwitchChat(messages=_QUESTION, metadata={"max_tokens": 16, "temperature": 0}))
    stage.note("chat by choice", **answer.model_dump(mode="json"))
    must(bool(answer.reply.strip() and answer.decision), f"{answer.model} answered without reply or reason.")


def unknown_model(stage: Stage) -> None:
    """A model that does not exist is refused, not replaced by another."""
    try:
        text, _, _ = _streamed(stage.door, _NO_MODEL)
    except CommandFailed as refused:
        stage.note("an unknown model", refusal=refused.sentence)
        return
    raise CommandFailed(f"A model that does not exist answered: {text[:80]}")


def registry(stage: Stage) -> None:
    """The registry lists its models, with what they were used for."""
    models = stage.door.models()
    stage.note("registry", models={model.name: model.enabled for model in models})
    must(any(model.enabled for model in models), "No model is enabled.", "Bring one here: ./vx11 models pull NAME")


def journal(stage: Stage) -> None:
    """Whoever listens from the beginning hears of the window that this run opened."""
    wanted = stage.opened.window_id
    event = stage.door.first_event("power.window.open", lambda event: event.data.get("window_id") == wanted)
    stage.note("journal", id=event.id, type=event.type, services=event.data.get("services"))


# Each with the services it needs; a room that comes later adds its own here.
FLOWS: tuple[tuple[Phase, tuple[str, ...]], ...] = (
    (journal, ()),
    (registry, ("hermes",)),
    (chat_through_the_door, ("hermes", "switch")),
    (chat_by_choice, ("switch",)),
    (unknown_model, ("switch",)),
)
PHASES: tuple[tuple[str, Phase], ...] = (
    ("open", open_window),
    ("health", check_health),
    ("flows", real_flows),
    ("close", close_window),
    ("solo_madre", verify_solo_madre),
)


def _streamed(door: Door, model: str) -> tuple[str, int | None, float | None]:
    """What `model` says, the tokens it counted, and the seconds to its first piece."""
    began, first_sec, text, tokens = time.monotonic(), None, "", None
    for piece in door.chat(_QUESTION, model=model, max_tokens=16, temperature=0):
        if piece.text and first_sec is None:
            first_sec = round(time.monotonic() - began, 3)
        text += piece.text
        tokens = piece.usage.get("completion_tokens") if piece.usage else tokens
    return text, tokens, first_sec


def _shown(window: Window) -> dict[str, object]:
    return window.model_dump(mode="json", include={"window_id", "services", "state", "deadline", "exec"})
