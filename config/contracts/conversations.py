"""Chat with madre, and the conversations it happens in (CONTRACT, section 5)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.intents import Intent
from config.contracts.plans import Fault, Risk, Status

MAX_CONTEXT_BYTES = 16_384
Mode = Literal["MADRE", "SWITCH", "FALLBACK", "SPAWNER"]
SessionId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$",
        description="A conversation of the caller's own; the same name with another user is another conversation.",
    ),
]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16_384)]


class ChatMessage(Request):
    """One thing said to madre. Without `session_id` a new conversation begins; `context` is told to the model that
    answers (facts the caller knows, at most 16 KiB as JSON) and never read as an order."""

    message: Sentence
    session_id: SessionId | None = None
    context: dict[str, Any] = Field(default_factory=dict)

    @field_validator("context")
    @classmethod
    def _bounded(cls, context: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(context)) > MAX_CONTEXT_BYTES:
            raise ValueError(f"at most {MAX_CONTEXT_BYTES} bytes as JSON")
        return context


class ProposedStep(Answer):
    """One step of the plan that came of a sentence, and what its confirmation would let happen."""

    number: int
    action: str
    title: str
    arguments: dict[str, Any]
    condition: str | None
    not_before: Timestamp | None = None
    risk: Risk
    reversible: bool
    status: Status
    result: dict[str, Any] | None = None
    error: Fault | None = None


class Confirmation(Answer):
    """How to let a waiting plan run: the call, the token for it (shown this once) and until when it is good."""

    call: str
    confirm_token: str
    expires_at: Timestamp | None


class ChatAnswer(Answer):
    """What came of a sentence.

    `mode` says who answers: MADRE (a plan; `response` says what it is, in fixed words), SWITCH (a model's words, of
    `provider` and `model`), SPAWNER (a plan of daughters), FALLBACK (nobody could answer: `response` is null,
    `degraded` true, `error` says why and what would mend it). `confirmation` is there while the plan waits for one.
    `withheld` are acts that were spoken of without being ordered (asked about, negated); none of them was done.
    `understood` is what an order was read as, in the typed form, where it was refused: said again as it stands, each
    line is that act.
    """

    response: str | None
    session_id: str
    intent_id: str
    plan_id: str | None = None
    status: Literal["QUEUED", "RUNNING", "WAITING", "DONE", "ERROR"]
    mode: Mode
    provider: str | None = None
    model: str | None = None
    warnings: list[str] = []
    withheld: list[Intent] = []
    understood: list[str] = []
    actions: list[ProposedStep] = []
    risk: Risk | None = None
    reasons: list[str] = []
    confirmation: Confirmation | None = None
    degraded: bool = False
    error: Fault | None = None
    hint: str | None = None


class ShownTurn(Answer):
    """One thing said; what came of it by name."""

    at: Timestamp
    speaker: Literal["user", "assistant"]
    text: str
    intent_id: str | None
    plan_id: str | None


class ShownTopic(Answer):
    """What was last spoken of, of one kind; a later sentence may leave these arguments out."""

    name: str
    action: str
    arguments: dict[str, Any]
    at: Timestamp


class ShownConversation(Answer):
    """`GET /madre/sessions/{id}`: the newest turns, oldest first; `dropped` earlier ones are no longer remembered."""

    session_id: str
    user: str
    created_at: Timestamp
    used_at: Timestamp
    expires_at: Timestamp
    topics: list[ShownTopic]
    turns: list[ShownTurn]
    dropped: int
