"""What comes of something that was said: a plan, a model's answer, or why neither.

Every turn is read by the grammar first, whatever was answered before, so that an order after a chat is an order. What
orders something becomes a plan; a question, a negation and plain talk never do, and are answered by a model. Each turn
leaves a row (`tasks`), and the conversation goes on with it, in one unit of work at its end; but that an order became a
plan is kept together with the plan, so that a turn in which madre ends is known by what goes on after her.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import context7
from config.app import House
from config.auth import Caller
from config.context7 import Bounds, Conversation, Turn
from config.contracts import intents as wire
from config.contracts.asking import IntentType, Priority
from config.contracts.conversations import ChatAnswer
from config.contracts.plans import Plan, Status
from config.contracts.power import Wake
from config.db_schema import new_id
from config.errors import Conflict, Internal, LaneMissing, Unavailable, VX11Error
from config.logs import correlation_id, redacted
from config.services import FLEET, service_named
from madre import replies
from madre.actions import ACTIONS
from madre.flows.answering import Answering
from madre.flows.plans import Plans, asked_by
from madre.flows.waking import WakeFlow
from madre.inheritance import completed, spelled_out, spoken_of
from madre.language import Intent, Reading, read
from madre.language.guess import Guess, may_be_guessed, read_guess
from madre.language.typed import print_typed
from madre.store import asked as store
from madre.store.asked import Asked
from madre.store.intents import log_intents

Recording = asyncio.Task[Conversation | None]  # of what was said; it comes to the conversation that it belongs to

_TALK = "switch.ask"  # ordering a model's words is talking: it needs the conversation, and no plan
_SOON_SEC = 2.0  # a plan that needs no confirmation is waited for that long, because most are done by then
_FIRST_LOOK_SEC = 0.02
_CUT_OFF = {"code": Unavailable.code, "detail": "Madre ended before this did."}
_CUT_SHORT = {"status": "ERROR", "error": {"code": Internal.code, "detail": "It was not brought to an end."}}


@dataclass(frozen=True, slots=True)
class Said:
    """Something said to madre, by whichever way. `intents` are there where it was no sentence but a named action;
    `require` says of services whether they must be had (true) or must not be used (false)."""

    kind: IntentType
    text: str
    source: str
    session_id: str
    context: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = "P1"
    require: Mapping[str, bool] = field(default_factory=dict)
    intents: tuple[Intent, ...] = ()
    intent_id: str = field(default_factory=lambda: new_id("intent"))

    def answer(self, **came: Any) -> ChatAnswer:
        """The answer to this in which `came` came of it."""
        return ChatAnswer(session_id=self.session_id, intent_id=self.intent_id, **came)


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of a turn: the answer, and intents that were only talked about, with why."""

    answer: ChatAnswer
    talked_about: Sequence[Intent] = ()
    outcome: str = "chat"


class Hearing:
    """One turn, from its words to its answer."""

    def __init__(self, house: House, plans: Plans, answering: Answering, waking: WakeFlow) -> None:
        self._house = house
        self._plans = plans
        self._answering = answering
        self._waking = waking
        madre = house.settings.madre
        self._bounds = Bounds(madre.conversation_ttl_sec, madre.conversation_turns, madre.conversations_per_user)

    async def begin(self, said: Said, caller: Caller) -> Conversation | None:
        """Put on record that this was said; the conversation that it goes on with, if there is one."""
        return await self._house.db.writing(self._begin, said, caller)

    async def heard(self, said: Said, recording: Recording, caller: Caller) -> ChatAnswer:
        """The answer, once it is on record what was said. What the house refuses is an answer too, with its fault."""
        conversation = await recording
        try:
            came = await self._come_of(said, conversation, caller)
        except VX11Error as error:
            came = await self._refused(said, error, caller)
        except Exception:
            await self._house.db.writing(store.settle_asked, said.intent_id, _CUT_SHORT, self._house.clock.now())
            raise
        await self._house.db.writing(self._end, said, came, caller)
        return came.answer

    def cut_off(self, session: Session) -> None:
        """Say of the turns that an earlier life left that they are over; what was said in them stays as said."""
        now = self._house.clock.now()
        for row in store.fail_unanswered(session, _CUT_OFF, now):
            turn = Turn(row.created_at, "user", row.text, row.task_id)
            context7.go_on(session, row.user, row.session_id or row.task_id, [turn], (), now, self._bounds)

    async def _refused(
        self,
        said: Said,
        error: VX11Error,
        caller: Caller,
        intents: Sequence[Intent] = (),
        warnings: Sequence[str] = (),
    ) -> _Came:
        """The refusal, with what was understood; where there is a plan already, that: it goes on, and nobody is to
        order it a second time."""
        plan_id = await self._house.db.reading(store.plan_of, said.intent_id)
        if plan_id is None:
            return _Came(_refusal(said, error, intents, warnings))
        return _Came(planned(said, await self._plans.show(plan_id, caller), [error.detail]))

    async def _come_of(self, said: Said, conversation: Conversation | None, caller: Caller) -> _Came:
        await self._require(said.require)
        now = self._house.clock.now()
        local = now.astimezone(self._house.settings.zone)  # "at eight" is eight o'clock there
        reading = Reading(said.intents)
        if not said.intents:  # in a thread: a very long text takes a while, and madre has others to look after
            reading = await asyncio.to_thread(_read, said.text, conversation, local)
        if said.kind == "chat" and not _orders(reading):
            return await self._talk(said, reading, conversation, caller)
        guess = await self._guessed(said, reading, caller, local) if may_be_guessed(reading) else Guess(reading)
        reading = guess.reading
        intents = [completed(intent, conversation, now) for intent in reading.intents]
        if not intents:
            raise _no_order(reading)
        warnings = [*reading.warnings, *(warning for intent in intents for warning in intent.warnings)]
        warnings += dict.fromkeys(f"not before {_said(one.not_before, local)}" for one in intents if one.not_before)
        try:
            _must_do_without([name for name, must in said.require.items() if not must], intents)
            plan = await self._settled(await self._drawn_up(said, intents, guess, caller), caller)
        except VX11Error as error:
            return await self._refused(said, error, caller, intents, warnings)
        return _Came(planned(said, plan, warnings))

    async def _drawn_up(self, said: Said, intents: Sequence[Intent], guess: Guess, caller: Caller) -> Plan:
        """The plan of these intents, which waits however harmless where a model guessed at them; where there is none,
        the warnings of the reading say more."""
        asked = asked_by(caller, said.text, said.source, said.session_id)
        hold = said.kind == "plan" or bool(guess.opinions)
        along = functools.partial(self._planned, said=said, intents=intents, caller=caller)
        try:
            return await self._plans.draw_up(
                list(map(_wire, intents)), asked, caller, hold=hold, opinions=guess.opinions, along=along
            )
        except LaneMissing as error:
            raise LaneMissing(" ".join([error.detail, *guess.reading.warnings]), hint=error.hint) from error

    async def _guessed(self, said: Said, reading: Reading, caller: Caller, now: datetime) -> Guess:
        """The reading with what a model makes of an order that nobody knows; the same, and why, where none can."""
        try:
            _must_do_without_models(said)
            answer = await self._answering.guess(said.text, caller, said.session_id)
        except VX11Error as error:
            return Guess(replace(reading, warnings=(*reading.warnings, f"No model was asked either: {error.detail}")))
        return await asyncio.to_thread(read_guess, answer, said.text, reading, now=now, services=tuple(FLEET))

    async def _talk(self, said: Said, reading: Reading, conversation: Conversation | None, caller: Caller) -> _Came:
        """A model's answer, or honestly none: whatever kept it away, nothing else is said in its place."""
        spoken = [*reading.intents, *reading.withheld]
        noted: dict[str, Any] = {
            "warnings": list(reading.warnings),
            "withheld": [_wire(intent) for intent in reading.withheld],
        }
        outcome = "question" if reading.is_question else "negated" if reading.is_negated else "chat"
        try:
            _must_do_without_models(said)
            heard = await self._answering.answer(said.text, conversation, said.context, caller, said.session_id)
        except VX11Error as error:
            degraded = said.answer(
                response=None,
                status="ERROR",
                mode="FALLBACK",
                degraded=True,
                error=replies.fault_of(error),
                hint=error.hint,
                **noted,
            )
            return _Came(degraded, spoken, outcome)
        answer = said.answer(
            response=heard.reply, status="DONE", mode="SWITCH", provider=heard.provider, model=heard.model, **noted
        )
        return _Came(answer, spoken, outcome)

    async def _settled(self, plan: Plan, caller: Caller) -> Plan:
        """The plan a moment later, over or not; as it is where it waits for somebody."""
        pause = _FIRST_LOOK_SEC
        try:
            async with asyncio.timeout(_SOON_SEC):
                while plan.status in (Status.PENDING, Status.RUNNING):
                    await asyncio.sleep(pause)
                    pause *= 1.5
                    plan = await self._plans.show(plan.plan_id, caller)
        except TimeoutError:
            pass
        return plan

    async def _require(self, require: Mapping[str, bool]) -> None:
        """Have the services awake that must be had; an error of the tree where one cannot be."""
        for name, must in sorted(require.items()):
            service_named(name)
            if must:
                await self._waking.wake(
                    Wake(service=name, wait_sec=self._house.settings.power.windows_timeout_sec), self._house.caller
                )

    def _begin(self, session: Session, said: Said, caller: Caller) -> Conversation | None:
        now = self._house.clock.now()
        asked = Asked(
            task_id=said.intent_id,
            correlation_id=correlation_id.get(),
            user=caller.user,
            kind=said.kind,
            source=said.source,
            priority=said.priority,
            session_id=said.session_id,
            text=redacted(said.text),
        )
        store.add_asked(session, asked, now)
        return context7.find(session, caller.user, said.session_id, now)

    def _planned(
        self, session: Session, plan_id: str, *, said: Said, intents: Sequence[Intent], caller: Caller
    ) -> None:
        """Keep what the turn came to with the plan itself: from here on it goes on, whoever lives to tell of it."""
        now = self._house.clock.now()
        store.settle_asked(session, said.intent_id, {"plan_id": plan_id}, now)
        turn = Turn(now, "user", redacted(said.text), said.intent_id, plan_id)
        context7.go_on(session, caller.user, said.session_id, [turn], spoken_of(intents, now), now, self._bounds)

    def _end(self, session: Session, said: Said, came: _Came, caller: Caller) -> None:
        now, answer = self._house.clock.now(), came.answer
        columns = {
            "status": answer.status,
            "mode": answer.mode,
            "provider": answer.provider,
            "degraded": answer.degraded,
            "response": answer.response and redacted(answer.response),
            "error": answer.error and answer.error.model_dump(),
        }
        store.settle_asked(session, said.intent_id, columns, now)
        if came.talked_about:
            asked = asked_by(caller, said.text, said.source, said.session_id)
            log_intents(session, map(_wire, came.talked_about), asked, now, outcome=came.outcome)
        turns = [] if answer.plan_id else [Turn(now, "user", redacted(said.text), answer.intent_id)]
        if answer.response and not answer.degraded:
            turns.append(Turn(now, "assistant", redacted(answer.response), answer.intent_id, answer.plan_id))
        context7.go_on(session, caller.user, said.session_id, turns, (), now, self._bounds)


def _read(text: str, conversation: Conversation | None, now: datetime) -> Reading:
    """What the text asks for; where it orders nothing known, what it asks for with its pronoun spelled out."""
    reading = read(text, now=now, services=tuple(FLEET))
    if reading.acts or reading.is_question or reading.is_negated:
        return reading
    spelled = spelled_out(text, conversation, now)
    again = read(spelled, now=now, services=tuple(FLEET)) if spelled else reading
    if not again.acts or len(again.acts) < len(again.intents):
        return reading
    return replace(again, warnings=(*again.warnings, f"read as {spelled!r}, as spoken of before"))


def _said(moment: datetime, local: datetime) -> str:
    """A moment as it was said, in the zone of `local` and with its offset: whose eight o'clock is not to be guessed."""
    return moment.astimezone(local.tzinfo).isoformat(sep=" ", timespec="minutes")


def planned(said: Said, plan: Plan, warnings: Iterable[str] = ()) -> ChatAnswer:
    """The answer that a plan is."""
    return said.answer(
        response=replies.said_of(plan),
        plan_id=plan.plan_id,
        status=replies.status_of(plan),
        mode=replies.mode_of(plan),
        warnings=list(dict.fromkeys(warnings)),
        actions=replies.proposed(plan),
        risk=plan.risk,
        reasons=plan.reasons,
        confirmation=replies.confirmation(plan),
        error=plan.error,
    )


def _refusal(said: Said, error: VX11Error, intents: Iterable[Intent], warnings: Iterable[str]) -> ChatAnswer:
    understood = [redacted(print_typed(intent)) for intent in intents if intent.action is not None]
    return said.answer(
        response=replies.refused(error, understood),
        understood=understood,
        warnings=list(dict.fromkeys(warnings)),
        status="ERROR",
        mode="SPAWNER" if said.kind == "spawn" else "MADRE",
        error=replies.fault_of(error),
        hint=error.hint,
    )


def _orders(reading: Reading) -> bool:
    """Whether something is to be done other than talk."""
    return any(intent.action != _TALK for intent in reading.acts)


def _no_order(reading: Reading) -> LaneMissing:
    said = "it is in doubt" if reading.withheld else "it orders nothing known"
    why = "it asks" if reading.is_question else "it is negated" if reading.is_negated else said
    told = " ".join([f"Nothing is planned: {why}.", *reading.warnings])
    return LaneMissing(told, hint='Order it plainly, or name an action: VX11::DOMAIN action="…".')


def _must_do_without(services: Sequence[str], intents: Iterable[Intent]) -> None:
    """Conflict where an act is the duty of a service that must not be used."""
    for intent in intents:
        action = ACTIONS.get(intent.action or "")
        if action is not None and action.owner in services:
            raise Conflict(f"{action.title} is {action.owner}'s to do, which this intent must not use.")


def _must_do_without_models(said: Said) -> None:
    """Conflict where whoever asks does not want switch to be used."""
    if said.require.get("switch") is False:
        raise Conflict("A model would be switch's to ask, which this intent must not use.")


def _wire(intent: Intent) -> wire.Intent:
    return wire.Intent.model_validate(asdict(intent) | {"warnings": list(intent.warnings)})
