"""Actions on power: windows, policy, single services. Resources: `power`, `services`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from config.auth import Scope
from config.contracts.power import Policy, Reason, WindowMode
from madre.actions.action import Action, Arguments, Domain, Heard, Nothing, Risk, ServiceName, StepType

_Seconds = Annotated[float, Field(ge=1, le=3600)]
_Ttl = Annotated[_Seconds, Heard.DURATION]
_Window = Annotated[str | None, Field(default=None, pattern=r"^[A-Za-z0-9-]{1,64}$"), Heard.ID]


class OpenWindow(Arguments):
    """Which services, and for how long; `hold` is without an end."""

    services: Annotated[tuple[ServiceName, ...], Field(min_length=1, max_length=10), Heard.SERVICES]
    ttl_sec: _Ttl = 600
    mode: Annotated[WindowMode, Heard.CHOICE] = "ttl"
    reason: Reason = ""


class CloseWindow(Arguments):
    """Which window: by id, or whichever holds these services; neither means the one that ends last."""

    window_id: _Window
    services: Annotated[tuple[ServiceName, ...], Heard.SERVICES] = ()


class HoldWindow(CloseWindow):
    """Which window, and whether it keeps open (true) or has an end again."""

    hold: bool = True


class ExtendWindow(CloseWindow):
    """Which window, and its new deadline: `ttl_sec` from now, or `by_sec` later than it is; one of the two."""

    one_of: ClassVar[tuple[str, ...]] = ("by_sec", "ttl_sec")

    ttl_sec: Annotated[_Seconds | None, Heard.UNTIL] = None
    by_sec: Annotated[_Seconds | None, Heard.DURATION] = None

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if (self.ttl_sec is None) == (self.by_sec is None):
            raise ValueError("give by_sec (so much later) or ttl_sec (so long from now), one of them")
        return self


class ApplyPolicy(Arguments):
    """The policy to put in force."""

    policy: Annotated[Policy, Heard.CHOICE]


class OneService(Arguments):
    """Which service, and why."""

    service: Annotated[ServiceName, Heard.SERVICE]
    reason: Reason = ""


ROWS = (
    Action(
        "power.state",
        Domain.POWER,
        "Show policy, windows and services",
        Nothing,
        Scope.POWER_READ,
        Risk.LOW,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        says=("show window", "show power", "show service", "status power", "status window", "show policy"),
    ),
    Action(
        "power.open_window",
        Domain.POWER,
        "Open a window on services",
        OpenWindow,
        Scope.POWER_WRITE,
        Risk.LOW,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        writes=("power",),
        undo="power.close_window",
        says=(
            "open window",
            "open {services}",
            "wake {services}",
            "keep {services}",
            "keep open {services}",
            "enable {services}",
            "turn on {services}",
            "set on {services}",
        ),
    ),
    Action(
        "power.close_window",
        Domain.POWER,
        "Close a window",
        CloseWindow,
        Scope.POWER_WRITE,
        Risk.LOW,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        writes=("power",),
        undo="power.open_window",
        says=(
            "close window",
            "close {services}",
            "sleep {services}",
            "set sleep {services}",
            "stop window",
            "delete window",
        ),
    ),
    Action(
        "power.hold_window",
        Domain.POWER,
        "Take a window's deadline away",
        HoldWindow,
        Scope.POWER_WRITE,
        Risk.MED,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        writes=("power",),
        says=("keep window", "keep window hold", "hold window", "keep open window"),
    ),
    Action(
        "power.extend_window",
        Domain.POWER,
        "Move a window's deadline",
        ExtendWindow,
        Scope.POWER_WRITE,
        Risk.LOW,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        writes=("power",),
        says=("extend window", "extend {services}", "extend", "add window {by_sec}"),
    ),
    Action(
        "power.apply_policy",
        Domain.POWER,
        "Put a power policy in force",
        ApplyPolicy,
        Scope.POWER_WRITE,
        Risk.MED,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("power",),
        writes=("power", "services"),
        says=("set policy", "apply policy", "set {policy}", "apply {policy}", "enable {policy}"),
    ),
    Action(
        "service.start",
        Domain.POWER,
        "Start one service",
        OneService,
        Scope.POWER_WRITE,
        Risk.MED,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("services",),
        writes=("services",),
        undo="service.stop",
        says=("start {service}", "start service"),
    ),
    Action(
        "service.stop",
        Domain.POWER,
        "Stop one service",
        OneService,
        Scope.POWER_WRITE,
        Risk.MED,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("services",),
        writes=("services",),
        undo="service.start",
        says=("stop {service}", "stop service", "kill {service}", "disable {service}", "turn off {service}"),
    ),
    Action(
        "service.restart",
        Domain.POWER,
        "Restart one service",
        OneService,
        Scope.POWER_WRITE,
        Risk.MED,
        StepType.POWER_WINDOW,
        owner="madre",
        reads=("services",),
        writes=("services",),
        reversible=False,
        says=("restart {service}", "restart service"),
    ),
)
