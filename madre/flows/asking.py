"""Madre as she is asked: `/madre/chat`, `/madre/intent`, and what came of it, for whoever asked and nobody else.

One user may have so many turns at work, and begin so many a minute. Each turn is a task of its own: whoever waits for
it may leave, and it goes on without them; its row says what came of it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from config import audit, context7, deadline
from config.app import House, every
from config.auth import Caller, Scope
from config.context7 import Conversation
from config.contracts.asking import NO_DAUGHTER, IntentAnswer, IntentOrder, Priority, is_daughter
from config.contracts.conversations import ChatAnswer, ChatMessage, SessionId, ShownConversation, ShownTopic, ShownTurn
from config.contracts.plans import Fault, Plan
from config.db_schema import new_id
from config.db_schema.madre import Task
from config.errors import Invalid, NotFound, TooManyRequests, Unavailable
from config.logs import correlation_id
from madre import replies
from madre.actions import Domain, action_named
from madre.allowance import Allowance
from madre.flows.hearing import Hearing, Recording, Said
from madre.flows.plans import Plans
from madre.language import Intent
from madre.store import asked as store

_CLEAN_EVERY_SEC = 600.0
_HURRY_SEC = 0.5  # what is left of a caller's deadline for the answer to travel
_SPAWN_ACTIONS = {"python": "task.run_python", "shell": "task.run_shell"}
_OWN_WORDS = frozenset({"text", "session_id", "context", "action", "arguments", "require", "priority", "metadata"})
_log = logging.getLogger(__name__)
_text: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(max_length=65_536)])
_facts: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_session_id: TypeAdapter[str] = TypeAdapter(SessionId)
_require: TypeAdapter[dict[str, bool]] = TypeAdapter(dict[str, bool])
_priority: TypeAdapter[Priority] = TypeAdapter(Priority)


class Asking:
    """Turns by name of their caller, and conversations."""

    def __init__(self, house: House, hearing: Hearing, plans: Plans) -> None:
        self._house = house
        self._hearing = hearing
        self._plans = plans
        madre = house.settings.madre
        self._allowance = Allowance(madre.parallel_per_user, madre.sentences_per_min)
        self._under_way: set[asyncio.Task[ChatAnswer]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the block runs, conversations end in time; what an earlier life left open is said to be over."""
        await self._house.db.writing(self._hearing.cut_off)
        try:
            async with every(_CLEAN_EVERY_SEC, self.clean, name="conversations that are over")():
                yield
        finally:
            for turn in self._under_way:
                turn.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def clean(self) -> None:
        """Forget the conversations whose time has passed."""
        await self._house.db.writing(context7.forget_expired, self._house.clock.now())

    async def chat(self, body: ChatMessage, caller: Caller) -> ChatAnswer:
        """Something said, answered; whoever stops waiting finds it in the conversation."""
        said = Said("chat", body.message, "chat", body.session_id or new_id("session"), body.context)
        _, turn = self._begun(said, caller)
        await asyncio.wait({turn})
        return _came_of(turn)

    async def ask(self, order: IntentOrder, caller: Caller) -> IntentAnswer:
        """An intent, as it stands once it is settled or its caller has waited long enough."""
        if order.correlation_id is not None:
            correlation_id.set(order.correlation_id)
        if is_daughter(correlation_id.get()):
            raise Invalid(NO_DAUGHTER, errors=[_wrong("correlation_id", NO_DAUGHTER)])
        said = _said(order)
        with deadline.arrived(None):  # its caller may leave before it is done
            recording, turn = self._begun(said, caller)
        await asyncio.wait({recording})  # before anybody is told that it goes on
        wait_sec = max(0.0, deadline.within(self._house.settings.madre.answer_wait_sec) - _HURRY_SEC)
        await asyncio.wait({turn}, timeout=wait_sec)
        if turn.done():
            return self._answer(_came_of(turn))
        return IntentAnswer(
            correlation_id=correlation_id.get(),
            status="RUNNING",
            mode="SPAWNER" if said.kind == "spawn" else "MADRE",
            timestamp=self._house.clock.now(),
            intent_id=said.intent_id,
            session_id=said.session_id,
        )

    async def result(self, asked_id: str, caller: Caller, user: str | None = None) -> IntentAnswer:
        """How what was asked under this correlation id stands; another's is not there, but for who may see all."""
        whose = self._whose(caller, user)
        row = await self._house.db.reading(store.asked_by, whose, asked_id)
        if row is None:
            raise NotFound(f"Nothing was asked under {asked_id!r}.", hint="Intents are kept for 30 days.")
        if whose != caller.user:
            await self._house.db.writing(self._overridden, caller, "intent.read", row.task_id, whose)
        plan = await self._plans.show(row.plan_id, caller) if row.plan_id else None
        return _from_row(row, plan)

    async def conversation(self, session_id: str, caller: Caller, user: str | None = None) -> ShownConversation:
        """One's own conversation; another's is not there, but for who may see all, and leaves a trace then."""
        whose = self._whose(caller, user)
        found = await self._house.db.reading(context7.find, whose, session_id, self._house.clock.now())
        if found is None:
            raise NotFound(f"There is no conversation {session_id!r}.", hint="POST /madre/chat begins one.")
        if whose != caller.user:
            await self._house.db.writing(self._overridden, caller, "conversation.read", session_id, whose)
        return _shown(found)

    async def forget(self, session_id: str, caller: Caller) -> None:
        """Forget one's own conversation at once."""
        if not await self._house.db.writing(context7.forget, caller.user, session_id):
            raise NotFound(f"There is no conversation {session_id!r}.")

    def _begun(self, said: Said, caller: Caller) -> tuple[Recording, asyncio.Task[ChatAnswer]]:
        """The turn, under way, whoever waits for it, and the part of it that puts it on record; TooManyRequests where
        the caller's allowance has none left."""
        wait_sec = self._allowance.enter(caller.user, self._house.clock.monotonic())
        if wait_sec > 0:
            raise TooManyRequests(f"{caller.user} asks too much at once.", retry_after_sec=wait_sec)
        recording = asyncio.create_task(self._hearing.begin(said, caller), name=f"record of {said.intent_id}")
        turn = asyncio.create_task(self._hearing.heard(said, recording, caller), name=f"turn {said.intent_id}")
        self._under_way.add(turn)
        turn.add_done_callback(functools.partial(self._ended, caller.user))
        return recording, turn

    def _ended(self, user: str, turn: asyncio.Task[ChatAnswer]) -> None:
        self._under_way.discard(turn)
        self._allowance.leave(user)
        if not turn.cancelled() and (failure := turn.exception()) is not None:
            _log.warning("%s ended with %r", turn.get_name(), failure)

    def _answer(self, came: ChatAnswer) -> IntentAnswer:
        return IntentAnswer(**came.model_dump(), correlation_id=correlation_id.get(), timestamp=self._house.clock.now())

    def _whose(self, caller: Caller, user: str | None) -> str:
        """The user whose things are meant; NotFound for another's without the right to everybody's."""
        if user in (None, caller.user):
            return caller.user
        if not caller.may(Scope.CONVERSATIONS_ALL):
            raise NotFound("There is no such thing.")
        return str(user)

    def _overridden(self, session: Session, caller: Caller, action: str, target: str, user: str) -> None:
        now = self._house.clock.now()
        audit.append(session, caller, action, target, {"of": user, "override": True}, now=now, service="madre")


def _came_of(turn: asyncio.Task[ChatAnswer]) -> ChatAnswer:
    """The answer of a turn that is done; Unavailable for one that madre's own end cut off."""
    if turn.cancelled():
        raise Unavailable("Madre ends.", hint="What became of it is known once she is back.")
    return turn.result()


def _said(order: IntentOrder) -> Said:
    """An order as something said; Invalid where its payload is not what its type reads."""
    payload = order.payload
    text = payload.get("text") or ""
    intents = _named(order.type, payload, text)
    if not isinstance(text, str) or not (text.strip() or intents):
        raise Invalid(
            "An intent says something in `text`, or names an action.", errors=[_wrong("payload.text", "text")]
        )
    context = payload.get("context") or {}
    if not isinstance(context, dict):
        raise Invalid("`context` holds facts by name.", errors=[_wrong("payload.context", "an object")])
    return Said(
        kind=order.type,
        text=text or " ".join(intent.original_text for intent in intents),
        source=order.source or "intent",
        session_id=_checked(_session_id, payload, "session_id") or new_id("session"),
        context=_checked(_facts, payload, "context") or {},
        priority=_checked(_priority, payload, "priority") or "P1",
        require=_checked(_require, payload, "require") or {},
        intents=intents,
    )


def _named(kind: str, payload: Mapping[str, Any], text: str) -> tuple[Intent, ...]:
    """The intent that a payload names outright, if it does."""
    if kind == "spawn":
        task_type = payload.get("task_type", "python")
        if task_type not in _SPAWN_ACTIONS:
            raise Invalid(
                f"A daughter runs python or shell, not {task_type!r}.",
                errors=[_wrong("payload.task_type", "python or shell")],
            )
        arguments = {name: value for name, value in payload.items() if name not in _OWN_WORDS | {"task_type"}}
        return (_intent(_SPAWN_ACTIONS[task_type], {"code": text, **arguments}),)
    if "action" not in payload:
        return ()
    name = _checked(_text, payload, "action") or ""
    return (_intent(name, _checked(_facts, payload, "arguments") or {}),)


def _intent(name: str, arguments: Mapping[str, Any]) -> Intent:
    action = action_named(name)
    return Intent(Domain(action.domain), name, None, dict(arguments), 1.0, action.title, risk=action.risk)


def _checked(kind: TypeAdapter[Any], payload: Mapping[str, Any], name: str) -> Any:
    """One member of the payload, as its type says; None where it is not there."""
    if payload.get(name) is None:
        return None
    try:
        return kind.validate_python(payload[name], strict=True)
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise Invalid(f"`{name}`: {first}.", errors=[_wrong(f"payload.{name}", first)]) from error


def _wrong(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def _from_row(row: Task, plan: Plan | None) -> IntentAnswer:
    """What was asked as it stands now: a plan's state is the plan's, and anything else is what the row says."""
    answer = IntentAnswer(
        correlation_id=row.correlation_id,
        status=row.status,  # type: ignore[arg-type]  # the table holds only what this module gave it
        mode=row.mode,  # type: ignore[arg-type]
        provider=row.provider,
        response=row.response,
        plan_id=row.plan_id,
        degraded=row.degraded,
        error=Fault.model_validate(row.error) if row.error else None,
        timestamp=row.updated_at,
        intent_id=row.task_id,
        session_id=row.session_id,
    )
    if plan is None:
        return answer
    return answer.model_copy(
        update={
            "status": replies.status_of(plan),
            "mode": replies.mode_of(plan),
            "response": replies.said_of(plan),
            "error": plan.error,
            "risk": plan.risk,
            "reasons": plan.reasons,
            "actions": replies.proposed(plan),
            "result": replies.results(plan),
            "timestamp": plan.finished_at or plan.started_at or plan.created_at,
        }
    )


def _shown(found: Conversation) -> ShownConversation:
    return ShownConversation(
        session_id=found.session_id,
        user=found.user,
        created_at=found.created_at,
        used_at=found.used_at,
        expires_at=found.expires_at,
        topics=[
            ShownTopic(name=one.name, action=one.action, arguments=dict(one.arguments), at=one.at)
            for one in found.topics
        ],
        turns=[
            ShownTurn(at=one.at, speaker=one.speaker, text=one.text, intent_id=one.intent_id, plan_id=one.plan_id)
            for one in found.turns
        ],
        dropped=found.dropped,
    )
