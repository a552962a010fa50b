"""What the door does itself: fleet status, windows on behalf of callers, tokens."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from sqlalchemy.orm import Session

from config import audit
from config.app import VERSION, House
from config.auth import Caller, new_token
from config.contracts.asking import DoorIntent, IntentAnswer, is_daughter
from config.contracts.base import Page
from config.contracts.power import PowerState, ServiceFigures, Window, WindowClose, WindowOpen
from config.contracts.spawning import DoorSpawn, DoorSpawned, JobDetail
from config.contracts.status import DoorWindowClose, DoorWindowOpen, FleetService, FleetStatus, WindowList
from config.contracts.tokens import NewToken, Token, TokenCreate
from config.db_schema import ApiToken
from config.errors import NotFound, VX11Error
from config.paging import cut, decode_cursor
from config.services import FLEET, is_present
from tentaculo_link import intents, store, tokens
from tentaculo_link.clients import Madre, Spawner, Switch
from tentaculo_link.waking import Waking

T = TypeVar("T")


class Flows:
    """The use cases of the door."""

    def __init__(self, house: House, waking: Waking) -> None:
        self._house = house
        self._waking = waking
        self._madre = Madre(house.clients)
        self._spawner = Spawner(house.clients)
        self._switch = Switch(house.clients)

    async def status(self) -> FleetStatus:
        """What is really running; where madre cannot be asked, that is said instead of guessed."""
        notes: list[str] = []
        power = await _or_note(self._madre.power_state(), "madre", notes)
        awake = {service.name for service in power.services if service.state == "ready"} if power else set()
        queue = await _or_note(self._switch.queue(), "switch", notes) if "switch" in awake else None
        return FleetStatus(
            version=VERSION,
            time=self._house.clock.now(),
            policy=power.policy if power else None,
            services=self._services(power),
            windows=power.windows if power else [],
            engine_mode=None,
            queue=queue,
            degraded=bool(notes),
            notes=notes,
        )

    def _services(self, power: PowerState | None) -> list[FleetService]:
        seen = {service.name: service for service in power.services} if power else {}
        listed = []
        for service in FLEET.values():
            report = seen.get(service.name)
            known = report.state if report else ("unready" if is_present(service) else "absent")
            listed.append(
                FleetService(
                    name=service.name,
                    port=self._house.settings.port_of(service.name),
                    state=known,
                    memory_mb=report.memory_mb if report else None,
                    restarts=report.restarts if report else 0,
                    figures=report.figures if report else ServiceFigures(),
                )
            )
        return listed

    async def open_window(self, wish: DoorWindowOpen, caller: Caller) -> Window:
        """Open a window at madre, with the caller's own rights."""
        body = WindowOpen(services=wish.wanted, ttl_sec=wish.ttl_seconds, mode=wish.mode, reason=wish.reason)
        return await self._madre.open_window(body, caller)

    async def close_window(self, wish: DoorWindowClose, caller: Caller) -> WindowList:
        """Close by id, by target, or the last to end; closing what is not open is no error."""
        if wish.target is None:
            found = [wish.window_id]
        else:
            live = (await self.windows(wish.target)).windows
            found = [window.window_id for window in live]
        closed = []
        for window_id in found:
            try:
                closed.append(await self._madre.close_window(WindowClose(window_id=window_id), caller))
            except NotFound:
                if wish.window_id is not None:
                    raise
        return WindowList(windows=closed)

    async def windows(self, target: str | None = None) -> WindowList:
        """The live windows, or those that hold `target`."""
        live = (await self._madre.power_state()).windows
        return WindowList(windows=[window for window in live if target is None or target in window.services])

    async def spawn(self, wish: DoorSpawn, caller: Caller, key: str | None) -> DoorSpawned:
        """Have a daughter task run; spawner is woken for it, and knows it by the key too, should the door die."""
        await self._waking.ensure("spawner")
        return DoorSpawned.model_validate((await self._spawner.spawn(wish.order, caller, key)).model_dump())

    async def daughter(self, spawn_id: str, caller: Caller) -> JobDetail:
        """A daughter's real state and result; spawner is woken for the question."""
        await self._waking.ensure("spawner")
        return await self._spawner.job(spawn_id, caller)

    async def intent(self, wish: DoorIntent, caller: Caller) -> IntentAnswer:
        """Have madre make of it what it is: a plan, a model's answer, a daughter's plan."""
        return await self._madre.ask(intents.passed_on(wish, self._house.service.name), caller)

    async def result(self, result_id: str, caller: Caller) -> IntentAnswer:
        """What came of an intent or a daughter, as it really stands."""
        if is_daughter(result_id):
            return intents.daughter_shown(await self.daughter(result_id, caller))
        return await self._madre.result(result_id, caller)

    async def create_token(self, wish: TokenCreate, caller: Caller) -> NewToken:
        """Make a token; its secret is in this answer and nowhere else."""
        secret = new_token()
        row = tokens.minted(wish, secret, self._house.clock.now())
        answer = tokens.shown_once(row, secret)
        await self._house.db.writing(self._keep_token, row, caller)
        return answer

    def _keep_token(self, session: Session, row: ApiToken, caller: Caller) -> None:
        store.add_token(session, row)
        self._audit(session, caller, "token.created", row, {"user": row.user, "role": row.role})

    async def list_tokens(self, limit: int, cursor: str | None) -> Page[Token]:
        """Tokens, newest first, without their secrets."""
        rows = await self._house.db.reading(store.tokens_before, decode_cursor(cursor), limit + 1)
        page, following = cut(rows, limit, lambda row: (row.created_at, row.token_id))
        return Page[Token](items=[tokens.shown(row) for row in page], next_cursor=following)

    async def revoke_token(self, token_id: str, caller: Caller) -> Token:
        """End a token; ending it twice is the same as once."""
        return await self._house.db.writing(self._revoke, token_id, caller)

    def _revoke(self, session: Session, token_id: str, caller: Caller) -> Token:
        row = self._existing(session, token_id)
        if row.revoked_at is None:
            row.revoked_at = self._house.clock.now()
            self._audit(session, caller, "token.revoked", row, {})
        return tokens.shown(row)

    async def rotate_token(self, token_id: str, caller: Caller) -> NewToken:
        """Replace a token by a fresh one for the same holder; the old one ends at once."""
        return await self._house.db.writing(self._rotate, token_id, caller)

    def _rotate(self, session: Session, token_id: str, caller: Caller) -> NewToken:
        old = self._existing(session, token_id)
        secret = new_token()
        successor = tokens.rotated(old, secret, self._house.clock.now())
        store.add_token(session, successor)
        self._audit(session, caller, "token.rotated", old, {"replaced_by": successor.token_id})
        return tokens.shown_once(successor, secret)

    def _existing(self, session: Session, token_id: str) -> ApiToken:
        row = store.token(session, token_id)
        if row is None:
            raise NotFound(f"There is no token {token_id!r}.", hint="GET /auth/tokens lists them.")
        return row

    def _audit(self, session: Session, caller: Caller, action: str, row: ApiToken, detail: dict[str, str]) -> None:
        service, now = self._house.service.name, self._house.clock.now()
        audit.append(session, caller, action, row.token_id, detail, now=now, service=service)


async def _or_note(asking: Awaitable[T], service: str, notes: list[str]) -> T | None:
    """The answer, or None and a note that says who could not be asked and why."""
    try:
        return await asking
    except VX11Error as error:
        notes.append(f"{service}: {error.detail}")
        return None
