"""Command-line AI programs and engines on the wire, and the file that declares programs (CONTRACT, section 6)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.contracts.base import Answer, Request, Timestamp

ProgramName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Argument = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
Argv = Annotated[list[Argument], Field(min_length=1, max_length=64)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
ProgramState = Literal["absent", "found", "probed", "authenticated", "ready"]
Authentication = Literal["yes", "no", "unknown"]
StepName = Literal["found", "probed", "authenticated", "ready"]
Outcome = Literal["ok", "failed", "unknown", "waiting"]
EngineTask = Literal["chat", "completion", "embedding", "code"]
EngineKind = Literal["local", "program"]

_CHAT: tuple[EngineTask, ...] = ("chat",)
ENGINE_KINDS: tuple[EngineKind, ...] = ("local", "program")


class AuthenticationCall(Request):
    """A call that shows whether a program is signed in and changes nothing: its exit code, and what it says (a regular
    expression), where that counts too."""

    argv: Argv
    says: str | None = Field(default=None, max_length=256)


class ListCall(Request):
    """A call that lists a program's models; `item` is a regular expression, its first group a model, line by line."""

    argv: Argv
    item: str = Field(max_length=256)


class ProgramEntry(Request):
    """A program as a file declares it.

    `argv` is the template of one question (`{prompt}`, `{model}`; `{model_options}` stands for `model_argv` where a
    model is named); without `{prompt}` the question comes on stdin. `credentials` are variables that sign it in.
    """

    name: ProgramName
    title: str = Field(max_length=128)
    documentation: str = Field(default="", max_length=512)
    argv: Argv
    model_argv: Annotated[list[Argument], Field(max_length=16)] = Field(default_factory=list)
    probe: Argv
    authentication: AuthenticationCall | None = None
    listing: ListCall | None = None
    needs_login: bool = True
    credentials: Annotated[list[Variable], Field(max_length=16)] = Field(default_factory=list)
    environment: Annotated[list[Variable], Field(max_length=32)] = Field(default_factory=list)
    task_types: Annotated[list[EngineTask], Field(min_length=1)] = Field(default_factory=lambda: list(_CHAT))
    context_tokens: int | None = Field(default=None, ge=1)
    install: str = Field(default="", max_length=256)
    login: str = Field(default="", max_length=256)


class OnboardingStep(Answer):
    """One step of bringing a program into service: how it went, and the one thing that would mend it."""

    step: StepName
    outcome: Outcome
    detail: str | None
    hint: str | None


class Tool(Answer):
    """A command-line AI program. Only an enabled `ready` one is asked; `authentication` may be unknown even then,
    where no call shows it without asking a model."""

    name: str
    title: str
    origin: Literal["built-in", "own"]
    state: ProgramState
    authentication: Authentication
    enabled: bool
    version: str | None
    models: list[str]
    task_types: list[str]
    context_tokens: int | None
    prompt_by: Literal["argument", "stdin"]
    detail: str | None
    hint: str | None
    usage_count: int
    last_used_at: Timestamp | None
    checked_at: Timestamp | None
    steps: list[OnboardingStep]


class Tools(Answer):
    """Every program hermes knows; short enough to need no pages."""

    items: list[Tool]


class ToolPatch(Request):
    """Let a program be asked, or not."""

    enabled: bool


class EngineQuery(Request):
    """What an engine is wanted for. `context_tokens`: how much it must take; `kinds`: which kinds may answer."""

    task_type: EngineTask
    context_tokens: int | None = Field(default=None, ge=1)
    max_size_mb: int | None = Field(default=None, ge=1)
    kinds: Annotated[list[EngineKind], Field(min_length=1)] = Field(default_factory=lambda: list(ENGINE_KINDS))


class EngineCandidate(Answer):
    """One model or program, and why it is where it is; `excluded_because` null: it could do it."""

    name: str
    kind: EngineKind
    score: float
    reasons: list[str]
    excluded_because: str | None


class EngineChoice(Answer):
    """The engine for a task; null where none fits, and `said` says why and what would help."""

    engine: str | None
    kind: EngineKind | None
    said: str
    candidates: list[EngineCandidate]


class Execution(Request):
    """Run one program: a `prompt`, or `arguments` that hold one (`prompt`, `model`)."""

    tool: ProgramName
    prompt: str | None = Field(default=None, max_length=1 << 20)
    model: str | None = Field(default=None, max_length=256)
    arguments: dict[Literal["prompt", "model"], str] = Field(default_factory=dict)
    timeout_sec: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _asks_something(self) -> Execution:
        if not (self.prompt or self.arguments.get("prompt")):
            raise ValueError("give a `prompt`")
        return self


class ExecutionResult(Answer):
    """How a run ended. `output` is its beginning where `truncated`; `errors` the end of what it said beside."""

    tool: str
    status: Literal["done", "failed", "timeout", "truncated"]
    code: int
    output: str
    errors: str
    seconds: float
