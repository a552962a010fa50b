"""How the machine is: signals on a timer, the profile and the mode they give, the mode set by hand."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.base import Page
from config.contracts.weather import (
    ControlAnswer,
    Fluzo,
    FluzoReading,
    ModeCard,
    SwitchControl,
)
from config.db_schema import FluzoSignal
from config.errors import Invalid, VX11Error
from config.paging import cut, decode_cursor
from switch import store
from switch.adapters.sensors import Sensors
from switch.flows.ledger import Ledger
from switch.fluzo import Profile, Signals, Thinning, profile_of
from switch.modes import BORDERS, BUDGET_SEC, Mode, Steering, load_of
from switch.score import Conditions

_log = logging.getLogger(__name__)
_AUTO = "auto"


class Weather:
    """The one place that knows how tense the machine is."""

    def __init__(self, house: House, sensors: Sensors, ledger: Ledger) -> None:
        self._house = house
        self._sensors = sensors
        self._ledger = ledger
        self._steering = Steering()
        self._thinning = Thinning()
        self._signals: Signals | None = None
        self._looked_at = house.clock.now()

    @property
    def conditions(self) -> Conditions:
        """What choosing needs of it."""
        return Conditions(self._steering.mode, self._profile)

    @property
    def _profile(self) -> Profile:
        return profile_of(self._signals) if self._signals else Profile.BALANCED

    @property
    def _load(self) -> float | None:
        return round(load_of(self._signals.cpu, self._signals.memory), 4) if self._signals else None

    async def look(self) -> None:
        """Read the signals; a row on a change of profile or once a minute, an event on a change of mode."""
        signals = await asyncio.to_thread(self._sensors.look)
        before = self._steering.mode if self._signals else None
        self._signals, self._looked_at = signals, self._house.clock.now()
        self._steering.looked(load_of(signals.cpu, signals.memory))
        if self._thinning.keeps(self._profile, self._looked_at):
            self._ledger.keep([self._row(signals)])
        if before is not None and self._steering.mode is not before:
            await self._tell(before)

    def _row(self, signals: Signals) -> FluzoSignal:
        return FluzoSignal(
            at=self._looked_at,
            cpu=signals.cpu,
            memory=signals.memory,
            battery=signals.battery,
            pressure_cpu=signals.pressure_cpu,
            pressure_memory=signals.pressure_memory,
            load=self._load,
            mode=self._steering.mode.value,
            profile=self._profile.value,
        )

    async def _tell(self, before: Mode) -> None:
        try:
            await self._house.db.writing(self._journal, before)
        except VX11Error as error:  # a full disk or a busy database steers nothing
            _log.error("the change of mode was not journalled: %s", error.detail)

    def _journal(self, session: Session, before: Mode) -> None:
        data = {
            "mode": self._steering.mode.value,
            "previous": before.value,
            "by_hand": self._steering.by_hand is not None,
            "load": self._load,
            "profile": self._profile.value,
        }
        self._house.journal.append(session, "switch.tension.updated", data)

    async def control(self, body: SwitchControl, caller: Caller) -> ControlAnswer:
        """Tell, list or set the mode; `auto` gives it back to the measured load."""
        if body.action == "set_mode":
            await self._set(body.mode, caller)
        return self.shown()

    async def _set(self, wanted: str | None, caller: Caller) -> None:
        names = [mode.value for mode in Mode] + [_AUTO]
        found = next((name for name in names if wanted and name.lower() == wanted.lower()), None)
        if found is None:
            message = f"one of {', '.join(names)}"
            raise Invalid(f"set_mode wants a `mode`: {message}.", errors=[{"field": "mode", "message": message}])
        before = self._steering.mode
        self._steering.by_hand = None if found == _AUTO else Mode(found)
        await self._house.db.writing(self._note, caller, found)
        if self._steering.mode is not before:
            await self._tell(before)

    def _note(self, session: Session, caller: Caller, mode: str) -> None:
        now, service = self._house.clock.now(), self._house.service.name
        audit.append(session, caller, "switch.set_mode", mode, {}, now=now, service=service)

    def shown(self) -> ControlAnswer:
        """The mode in force, and all modes."""
        return ControlAnswer(
            mode=self._steering.mode.value,
            by_hand=self._steering.by_hand is not None,
            load=self._load,
            time_budget_sec=BUDGET_SEC[self._steering.mode],
            modes=[
                ModeCard(
                    mode=mode.value,
                    load_below=border if border != float("inf") else None,
                    time_budget_sec=BUDGET_SEC[mode],
                )
                for mode, border in BORDERS.items()
            ],
        )

    def fluzo(self) -> Fluzo:
        """The signals as last read, and what they add up to."""
        signals = self._signals
        return Fluzo(
            profile=self._profile.value,
            mode=self._steering.mode.value,
            load=self._load,
            measured_at=self._looked_at if signals else None,
            cpu=signals.cpu if signals else None,
            memory=signals.memory if signals else None,
            battery=signals.battery if signals else None,
            pressure_cpu=signals.pressure_cpu if signals else None,
            pressure_memory=signals.pressure_memory if signals else None,
            not_measured=_not_measured(signals),
        )

    async def readings(self, limit: int, cursor: str | None) -> Page[FluzoReading]:
        """Kept signals, newest first."""
        rows = await self._house.db.reading(store.signals_page, limit, decode_cursor(cursor))
        page, following = cut(rows, limit, lambda row: (row.at, str(row.id)))
        return Page(
            items=[FluzoReading.model_validate(row, from_attributes=True) for row in page], next_cursor=following
        )


def _not_measured(signals: Signals | None) -> list[str]:
    names = ("cpu", "memory", "battery", "pressure_cpu", "pressure_memory")
    return [name for name in names if signals is None or getattr(signals, name) is None]
