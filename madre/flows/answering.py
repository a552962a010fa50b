"""Talk: questions and all that orders nothing, answered by a model at Switch with the conversation before it.

There is no other answer. Where no model can be had, the error says why, and whoever asked is told that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from config import context7
from config.app import House
from config.auth import Caller
from config.contracts.plans import Status
from config.contracts.power import Wake
from config.contracts.prompts import SwitchChat, SwitchChatAnswer
from config.errors import BadPeer
from madre.actions import ACTIONS
from madre.clients import Switch
from madre.flows.reconciler import Reconciler
from madre.flows.waking import WakeFlow
from madre.language.guess import instructions, schema
from madre.replies import Known, briefing
from madre.store import plans as plan_store
from madre.store import power as power_store

_ANSWER_TOKENS = 512
_GUESS_TOKENS = 200
_MOST_PLANS = 5


class Answering:
    """Asks Switch, which is woken for it as it is for any request."""

    def __init__(self, house: House, reconciler: Reconciler, waking: WakeFlow) -> None:
        self._house = house
        self._reconciler = reconciler
        self._waking = waking
        self._switch = Switch(house.clients)

    async def answer(
        self,
        asked: str,
        conversation: context7.Conversation | None,
        context: Mapping[str, Any],
        caller: Caller,
        session_id: str,
    ) -> SwitchChatAnswer:
        """A model's answer; raises why none could be had."""
        known = await self._house.db.reading(self._known, caller)
        said = context7.for_model(conversation, asked, self._house.settings.madre.context_chars)
        messages: list[dict[str, Any]] = [{"role": "system", "content": briefing(known, context)}, *said]
        return await self._heard(messages, {"max_tokens": _ANSWER_TOKENS}, caller, session_id)

    async def guess(self, order: str, caller: Caller, session_id: str) -> str:
        """What a model makes of an order that the grammar does not know, in the agreed form; raises why none could."""
        actions = [row for row in ACTIONS.values() if caller.may(row.scope) and row.owner in self._house.present]
        form = {"name": "order", "strict": True, "schema": schema(actions)}
        metadata = {
            "max_tokens": _GUESS_TOKENS,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        messages = [{"role": "system", "content": instructions(actions)}, {"role": "user", "content": order}]
        return (await self._heard(messages, metadata, caller, session_id)).reply

    async def _heard(
        self, messages: list[dict[str, Any]], metadata: dict[str, Any], caller: Caller, session_id: str
    ) -> SwitchChatAnswer:
        """What Switch says, once it is awake."""
        wake = Wake(service="switch", wait_sec=self._house.settings.power.windows_timeout_sec)
        await self._waking.wake(wake, self._house.caller)
        heard = await self._switch.chat(SwitchChat(messages=messages, session_id=session_id, metadata=metadata), caller)
        if not heard.reply.strip():
            raise BadPeer(f"{heard.model} answered with nothing.", retry_after_sec=1)
        return heard

    def _known(self, session: Session, caller: Caller) -> Known:
        waiting = plan_store.plans_before(session, None, _MOST_PLANS, user=caller.user, status=Status.WAITING)
        return Known(
            now=self._house.clock.now(),
            policy=power_store.policy(session) or self._house.settings.power.policy,
            services={name: life.state for name, life in sorted(self._reconciler.known.items())},
            windows=[window.services for window in power_store.live_windows(session)],
            waiting_plans=[plan.plan_id for plan in waiting],
        )
