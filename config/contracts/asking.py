"""Intents as calls: `POST /vx11/intent` at the door, `POST /madre/intent` behind it (CONTRACT, sections 3 and 5)."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.conversations import Confirmation, Mode, ProposedStep
from config.contracts.intents import Intent
from config.contracts.plans import Fault, Risk

IntentType = Literal["chat", "plan", "exec", "spawn"]
IntentStatus = Literal["QUEUED", "RUNNING", "WAITING", "DONE", "ERROR"]
CorrelationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
NO_DAUGHTER = "`spawn-` and 8 hexadecimal digits is a daughter's name: an intent of that name could not be asked about"
BY_HERSELF = "autonomy"  # the source of what madre does by herself: her loop takes such plans for its own
Priority = Literal["P0", "P1", "P2"]
MAX_PAYLOAD_BYTES = 262_144
_DAUGHTER = re.compile(r"spawn-[0-9a-f]{8}")
_TYPES = (
    "`chat`: as /madre/chat; `plan`: a plan is drawn up and waits, whatever its risk; `exec`: a plan that starts at "
    "once when its risk is LOW; `spawn`: a task for a daughter (`payload`: `code`, `task_type`, limits), as a plan."
)
_PAYLOAD = (
    "`action` with `arguments` names a registered action outright; `session_id` goes on with a conversation; for "
    "`spawn` the arguments of the task. At most 256 KiB."
)


def is_daughter(result_id: str) -> bool:
    """Whether an id is that of a daughter task; every other one is a correlation id."""
    return _DAUGHTER.fullmatch(result_id) is not None


def _no_daughter(correlation_id: str) -> str:
    if is_daughter(correlation_id):
        raise ValueError(NO_DAUGHTER)
    return correlation_id


def _no_own_doing(source: str) -> str:
    if source == BY_HERSELF:
        raise ValueError(f"`{BY_HERSELF}` is the source of what madre does by herself; an order names another")
    return source


IntentName = Annotated[CorrelationId, AfterValidator(_no_daughter)]
Source = Annotated[str, Field(max_length=32, pattern=r"^[\w.-]*$"), AfterValidator(_no_own_doing)]


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(value)) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"at most {MAX_PAYLOAD_BYTES} bytes as JSON")
    return value


def _bounded_with_all(value: dict[str, Any]) -> dict[str, Any]:
    """For an order: whatever the door took fits with what it adds."""
    if len(json.dumps(value)) > 3 * MAX_PAYLOAD_BYTES:
        raise ValueError(f"at most {3 * MAX_PAYLOAD_BYTES} bytes as JSON")
    return value


class DoorIntent(Request):
    """An intent from outside. `require` says of services whether they must be had (true: woken first, an error where
    that fails) or must not be used (false: what needs one is refused); `priority` is kept with the intent."""

    intent_type: Annotated[IntentType, Field(description=_TYPES)] = "chat"
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=16_384)] = ""
    payload: Annotated[dict[str, Any], Field(max_length=64, description=_PAYLOAD)] = {}
    require: Annotated[dict[str, bool], Field(max_length=10)] = {}
    priority: Priority = "P1"
    correlation_id: IntentName | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=64)] = {}

    _payload = field_validator("payload", "metadata")(_bounded)

    @model_validator(mode="after")
    def _says_something(self) -> DoorIntent:
        if not self.text and not self.payload:
            raise ValueError("say something in `text`, or in `payload`")
        return self


class IntentOrder(Request):
    """`POST /madre/intent`: `payload` holds `text` and all else that the type of intent reads."""

    type: Annotated[IntentType, Field(description=_TYPES)]
    payload: Annotated[dict[str, Any], Field(max_length=80, description=_PAYLOAD)]
    correlation_id: IntentName | None = None
    source: Source = ""

    _payload = field_validator("payload")(_bounded_with_all)


class IntentAnswer(Answer):
    """An intent as it stands. While it is RUNNING or WAITING, `GET /vx11/result/{correlation_id}` tells more later.

    `response` is a model's words in mode SWITCH and madre's fixed ones in mode MADRE; it is null, and `degraded` true,
    where nobody could answer. The confirmation's token is in the first answer only, and so is `understood`: what a
    refused order was read as, in the typed form, which `response` says too.
    """

    correlation_id: str
    status: IntentStatus
    mode: Mode
    provider: str | None = None
    response: str | None = None
    plan_id: str | None = None
    degraded: bool = False
    error: Fault | None = None
    timestamp: Timestamp
    intent_id: str | None = None
    session_id: str | None = None
    model: str | None = None
    risk: Risk | None = None
    reasons: list[str] = []
    warnings: list[str] = []
    withheld: list[Intent] = []
    understood: list[str] = []
    actions: list[ProposedStep] = []
    confirmation: Confirmation | None = None
    hint: str | None = None
    result: dict[str, Any] | None = None
