"""Prompts to Switch: chats, routed prompts, tasks, advice, and what comes back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp

Name = Annotated[str, Field(min_length=1, max_length=128)]
TaskType = Annotated[str, Field(min_length=1, max_length=32)]
TaskStatus = Literal["QUEUED", "RUNNING", "DONE", "ERROR", "CANCELLED"]
_Metadata = Annotated[
    dict[str, Any],
    Field(
        max_length=64,
        description="Read of it: `fallback` (true: another model may stand in for the named one), `max_tokens`, "
        "`temperature`, `seed`, `response_format`, `tools`, `stop` as OpenAI has them, `model` where the call has no "
        "field for it. The rest is ignored.",
    ),
]


class SwitchChat(Request):
    """`POST /switch/chat`. Without `model` (or with `auto`) every enabled chat model stands for choice, by score; a
    named one is asked of those who offer exactly it. `provider` keeps to one. `stream` gives OpenAI's chunks."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)]
    model: Name | None = None
    provider: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    stream: bool = False
    session_id: Annotated[str, Field(max_length=128)] | None = None
    metadata: _Metadata = {}


class SwitchChatAnswer(Answer):
    """Who answered, why (`decision`), and what it took. `tokens_used` is null where the provider does not say it."""

    reply: str
    provider: str
    model: str
    decision: str
    latency_ms: float
    ttft_ms: float | None
    tokens_used: int | None
    finish_reason: str | None


class RoutedPrompt(Request):
    """`POST /switch/route-v5` and `POST /switch/task`: one prompt; who answers is Switch's choice."""

    prompt: Annotated[str, Field(min_length=1)]
    task_type: TaskType = "chat"
    metadata: _Metadata = {}
    source: Annotated[str, Field(max_length=64)] | None = None


class RoutedAnswer(Answer):
    """The answer to a routed prompt; `task_queue_id` names its row in `switch_queue_v2`."""

    status: TaskStatus
    model: str
    provider: str
    reply: str
    latency_ms: float
    task_queue_id: str
    decision: str


class TaskTicket(Answer):
    """202 of `POST /switch/task`: the task is kept, and answered in its turn, also after a restart."""

    task_queue_id: str
    status: TaskStatus


class TaskState(TaskTicket):
    """`GET /switch/task/{id}`: how it stands; the answer's members are null until it is there. `error` is a problem."""

    task_type: str
    source: str | None
    attempts: int
    enqueued_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    model: str | None
    provider: str | None
    reply: str | None
    latency_ms: float | None
    decision: str | None
    error: dict[str, Any] | None


class AdviceRequest(Request):
    """`POST /switch/advice`: what happened, and what is known around it (no more than 64 KiB as JSON)."""

    incident_summary: Annotated[str, Field(min_length=1, max_length=16_384)]
    context: dict[str, Any] = {}


class Advised(Answer):
    """What a local model advises; it is a language model's guess and nothing of it is carried out."""

    diagnosis: str
    severity: Literal["info", "warning", "error", "critical"]
    probable_causes: list[str]
    suggested_actions: list[str]


class AdviceAnswer(Answer):
    """`advice` is null and `degraded` true where no local model could give any; `reason` says why."""

    degraded: bool
    reason: str | None
    advice: Advised | None
    provider: str | None
    model: str | None
    decision: str | None
    latency_ms: float
