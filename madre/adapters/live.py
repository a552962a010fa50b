"""The WebSocket of a conversation: its plans as they go on, and what is said to it.

What is told are events of the journal, read by their id: a slow client reads later and nothing queues up for it, and
one that was away goes on where it stopped. What was said is done whether or not its socket is still there. A socket is
told of its own user's plans alone, those of its conversation, or the one plan that it is named for; it stays for as
long as the token is good that it was opened with.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocket, WebSocketDisconnect

from config.app import House
from config.auth import Caller, Scope, token_in
from config.contracts.conversations import ChatAnswer, ChatMessage
from config.contracts.events import Event
from config.contracts.live import SocketEvent, SocketMessage, Told
from config.contracts.plans import Plan, PlanCancel, PlanConfirm
from config.errors import BadRequest, Forbidden, Invalid, NotFound, Unavailable, VX11Error
from config.problems.outgoing import problem_response

B = TypeVar("B", bound=BaseModel)
_MOST_ANSWERS = 32  # under way for one socket; madre lets a user have fewer turns, but each 429 is an answer too
_TOLD: dict[str, Told] = {"plan.step.started": "tool_call_requested", "plan.step.done": "tool_result_received"}


class Talk(Protocol):
    """Whoever answers what is said."""

    async def chat(self, body: ChatMessage, caller: Caller) -> ChatAnswer:
        """What came of a sentence."""


class PlansAtHand(Protocol):
    """Plans, as their owner may touch them."""

    async def show(self, plan_id: str, caller: Caller) -> Plan:
        """One plan."""

    async def confirm(self, plan_id: str, body: PlanConfirm, caller: Caller) -> Plan:
        """Let a waiting plan run."""

    async def cancel(self, plan_id: str, body: PlanCancel, caller: Caller) -> Plan:
        """End a plan."""


class Live:
    """Serves the sockets."""

    def __init__(self, house: House, plans: PlansAtHand, talk: Talk | None) -> None:
        self._house = house
        self._plans = plans
        self._talk = talk

    async def serve(self, socket: WebSocket, session_id: str) -> None:
        """One socket, until either side closes it. A refusal is an HTTP answer before the handshake."""
        try:
            caller = await self._house.auth.identify(token_in(socket.scope))
            caller.require(Scope.PLANS_READ)
            after = await self._after(socket)
        except VX11Error as error:
            await socket.send_denial_response(problem_response(error))
            return
        await socket.accept()
        try:
            async with asyncio.TaskGroup() as group:
                conversation = _Conversation(self._house, self._plans, self._talk, socket, session_id, caller, group)
                group.create_task(conversation.tell(after))
                group.create_task(conversation.listen())
                if caller.service is None:  # else whoever passes them on looks after their token
                    group.create_task(self._let_go(caller))
        except* WebSocketDisconnect:
            pass  # the client has gone; what it ordered goes on
        except* Forbidden as over:
            with contextlib.suppress(WebSocketDisconnect):
                await socket.close(WS_1008_POLICY_VIOLATION, str(over.exceptions[0]))

    async def _let_go(self, caller: Caller) -> None:
        raise await self._house.auth.turned_bad(caller)

    async def _after(self, socket: WebSocket) -> int:
        """The event after which to go on; without a word, whatever happens from now on."""
        given = socket.query_params.get("after")
        if given is None:
            return await self._house.journal.newest()
        if not (given.isdecimal() and len(given) <= 18):
            raise BadRequest("`after` is the id of an event.")
        return int(given)


class _Conversation:
    """One socket; what it waits for beside listening and telling are tasks of `group`."""

    def __init__(
        self,
        house: House,
        plans: PlansAtHand,
        talk: Talk | None,
        socket: WebSocket,
        session_id: str,
        caller: Caller,
        group: asyncio.TaskGroup,
    ) -> None:
        self._house = house
        self._plans = plans
        self._talk = talk
        self._socket = socket
        self._session_id = session_id
        self._caller = caller
        self._group = group
        self._answers: set[asyncio.Task[None]] = set()

    async def tell(self, after: int) -> None:
        """Send what the journal says of the plans that are this socket's."""
        async with contextlib.aclosing(self._house.journal.subscribe(after, ("plan.",))) as events:
            async for event in events:
                if self._is_ours(event):
                    await self._send(_TOLD.get(event.type, "plan_updated"), await self._about(event), event)

    async def listen(self) -> None:
        """Do what is said, one thing after another; what cannot be done is said, and the socket stays.

        Answers come when they are there: meanwhile there is more to hear, that something is to be cancelled above all.
        """
        while True:
            heard = await self._socket.receive()
            if heard["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(heard.get("code", 1000))
            try:
                await self._heard(heard.get("text"))
            except VX11Error as error:
                await self._refuse(error)

    async def _heard(self, text: str | None) -> None:
        said = _read(text)
        if said.event_type == "message":
            await self._begin(_checked(ChatMessage, {**said.data, "session_id": self._session_id}))
            return
        self._caller.require(Scope.PLANS_WRITE)
        plan_id = str(said.data.get("plan_id", ""))
        if said.event_type == "confirm":
            body = _checked(PlanConfirm, {"confirm_token": said.data.get("confirm_token", "")})
            plan = await self._plans.confirm(plan_id, body, self._caller)
        else:
            plan = await self._plans.cancel(plan_id, PlanCancel(), self._caller)
        await self._send("status_changed", {"plan_id": plan.plan_id, "status": plan.status.value})

    async def _begin(self, message: ChatMessage) -> None:
        """Have a sentence answered, while no more than so many are."""
        if self._talk is None:
            raise BadRequest("Nobody answers here.")
        if len(self._answers) >= _MOST_ANSWERS:
            await asyncio.wait(self._answers, return_when=asyncio.FIRST_COMPLETED)
        answering = self._group.create_task(self._answer(self._talk, message))
        self._answers.add(answering)
        answering.add_done_callback(self._answers.discard)

    async def _answer(self, talk: Talk, message: ChatMessage) -> None:
        try:
            answer = await talk.chat(message, self._caller)
        except VX11Error as error:
            await self._refuse(error)
        else:
            await self._send("message_received", answer.model_dump(mode="json"))

    async def _refuse(self, error: VX11Error) -> None:
        await self._send("error_reported", {"code": error.code, "detail": error.detail, "hint": error.hint})

    def _is_ours(self, event: Event) -> bool:
        data = event.data
        return data.get("user") == self._caller.user and self._session_id in (
            data.get("session_id"),
            data.get("plan_id"),
        )

    async def _about(self, event: Event) -> dict[str, Any]:
        """The event's data; of a step, also what it was told and what came of it, which events do not hold.

        The event may outlive its plan (retention): then it is all that there is to tell.
        """
        data = {"event": event.type, **event.data}
        if event.type not in _TOLD:
            return data
        try:
            plan = await self._plans.show(str(data["plan_id"]), self._caller)
        except (NotFound, Unavailable):
            return data
        step = plan.steps[int(data["number"]) - 1].model_dump(mode="json")
        wanted = "arguments" if event.type == "plan.step.started" else "result"
        return {**data, wanted: step[wanted]}

    async def _send(self, type: Told, data: dict[str, Any], event: Event | None = None) -> None:
        message = SocketMessage(
            type=type,
            session_id=self._session_id,
            timestamp=event.timestamp if event else self._house.clock.now(),
            data=data,
            event_id=event.id if event else None,
        )
        await self._socket.send_text(message.model_dump_json())


def _read(text: str | None) -> SocketEvent:
    if text is None:
        raise BadRequest("What is said here is JSON in a text frame.")
    try:
        return SocketEvent.model_validate_json(text)
    except ValidationError as error:
        raise _invalid(error) from None


def _checked(kind: type[B], given: dict[str, Any]) -> B:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> Invalid:
    first = error.errors(include_input=False, include_url=False)[0]
    return Invalid(f"{'.'.join(map(str, first['loc'])) or 'message'}: {first['msg']}")
