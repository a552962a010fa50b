"""How the machine is, as Switch measures it, and the engine mode that follows. Shares are from 0 to 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp

ModeName = Literal["ECO", "BALANCED", "HIGH_PERF", "CRITICAL"]
ProfileName = Literal["low_power", "balanced", "performance"]


class SwitchControl(Request):
    """`POST /switch/control`. `mode` is for `set_mode`: a mode's name, or `auto`, which has the load decide again."""

    action: Literal["set_mode", "get_mode", "list_modes"]
    mode: Annotated[str, Field(max_length=16)] | None = None


class ModeCard(Answer):
    """One engine mode: the load below which it is in force (null: any), and how long an answer may take, seconds."""

    mode: ModeName
    load_below: float | None
    time_budget_sec: float


class ControlAnswer(Answer):
    """The mode in force, and all modes; `load` is 0.6·cpu + 0.4·memory, null until it was measured."""

    mode: ModeName
    by_hand: bool
    load: float | None
    time_budget_sec: float
    modes: list[ModeCard]


class Signals(Answer):
    """Signals of the machine; null where this machine has no such thing or it was not measured. `battery` is a charge
    that is being used up; pressure is the kernel's PSI, percent of the last ten seconds in which somebody waited."""

    battery: float | None
    pressure_cpu: float | None
    pressure_memory: float | None


class Fluzo(Signals):
    """`GET /switch/fluzo`: the last reading. `not_measured` names what is null."""

    profile: ProfileName
    mode: ModeName
    load: float | None
    measured_at: Timestamp | None
    cpu: float | None
    memory: float | None
    not_measured: list[str]


class FluzoReading(Signals):
    """One kept reading: there is one a minute, and one at each change of profile."""

    at: Timestamp
    cpu: float
    memory: float
    load: float
    mode: ModeName
    profile: ProfileName
