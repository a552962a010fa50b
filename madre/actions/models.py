"""Actions on AI models: hermes' registry, switch's memory, prompts. Resources: `models`, `memory`, `programs`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.auth import Scope
from config.contracts.models import ModelName, SourceText
from madre.actions.action import Action, Arguments, Domain, Heard, Nothing, Risk, StepType

_Model = Annotated[ModelName, Heard.NAME]


class OneModel(Arguments):
    """Which model."""

    model: _Model


class LoadModel(OneModel):
    """Which model, and how long it may be idle in memory (none: as all others)."""

    ttl_sec: Annotated[float | None, Field(default=None, ge=0), Heard.DURATION]


class PullModel(Arguments):
    """A model of the catalogue by `model`, or any `source`; with both, what the source shall be called."""

    model: Annotated[ModelName | None, Heard.NAME] = None
    source: Annotated[SourceText | None, Heard.SOURCE] = None

    @model_validator(mode="after")
    def _names_something(self) -> PullModel:
        if self.model is None and self.source is None:
            raise ValueError("give a `model` of the catalogue or a `source`")
        return self


class Scan(Arguments):
    """`verify` reads every known file again and compares its hash."""

    verify: Annotated[bool, Heard.FLAG] = False


class Discover(Arguments):
    """Looks here, in the catalogue and on the PATH; on the Hub too where there is a `query`. Applies nothing."""

    query: Annotated[str | None, Field(min_length=1, max_length=128), Heard.TEXT] = None


class Ask(Arguments):
    """A prompt; whom it goes to is Switch's choice unless a model is named."""

    prompt: Annotated[str, Field(min_length=1, max_length=16_384), Heard.TEXT]
    model: ModelName | None = None


class SetMode(Arguments):
    """An engine mode; `auto` has the load decide again."""

    mode: Annotated[Literal["ECO", "BALANCED", "HIGH_PERF", "CRITICAL", "auto"], Heard.CHOICE]


ROWS = (
    Action(
        "models.list",
        Domain.HERMES,
        "List the models that are here",
        Nothing,
        Scope.MODELS_READ,
        Risk.LOW,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        says=("show model", "show catalogue", "status model"),
    ),
    Action(
        "models.pull",
        Domain.HERMES,
        "Bring a model here",
        PullModel,
        Scope.MODELS_WRITE,
        Risk.MED,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        writes=("models",),
        undo="models.delete",
        says=("pull model", "pull {model}", "pull {source}", "install model", "install {model}", "install {source}"),
    ),
    Action(
        "models.enable",
        Domain.HERMES,
        "Let a model be used",
        OneModel,
        Scope.MODELS_WRITE,
        Risk.MED,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        writes=("models",),
        undo="models.disable",
        says=("enable model", "enable {model}"),
    ),
    Action(
        "models.disable",
        Domain.HERMES,
        "Keep a model from being used",
        OneModel,
        Scope.MODELS_WRITE,
        Risk.MED,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        writes=("models",),
        undo="models.enable",
        says=("disable model", "disable {model}"),
    ),
    Action(
        "models.delete",
        Domain.HERMES,
        "Delete a model and its file",
        OneModel,
        Scope.MODELS_WRITE,
        Risk.HIGH,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        writes=("models",),
        reversible=False,
        says=("delete model", "delete {model}"),
    ),
    Action(
        "hermes.scan",
        Domain.HERMES,
        "Look through the models folder",
        Scan,
        Scope.MODELS_WRITE,
        Risk.MED,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models",),
        writes=("models",),
        says=("scan model", "scan folder model", "check model", "verify model", "scan folder"),
    ),
    Action(
        "hermes.discover",
        Domain.HERMES,
        "Look for models and programs, and say what could be taken on",
        Discover,
        Scope.MODELS_WRITE,
        Risk.LOW,
        StepType.CALL_HERMES,
        owner="hermes",
        reads=("models", "programs"),
        says=("discover", "discover model", "discover program"),
    ),
    Action(
        "models.load",
        Domain.HERMES,
        "Have a model in memory",
        LoadModel,
        Scope.MODELS_WRITE,
        Risk.LOW,
        StepType.CALL_SWITCH,
        owner="switch",
        reads=("models", "memory"),
        writes=("memory",),
        undo="models.unload",
        says=("load model", "load {model}"),
    ),
    Action(
        "models.unload",
        Domain.HERMES,
        "Give a model's memory back",
        OneModel,
        Scope.MODELS_WRITE,
        Risk.LOW,
        StepType.CALL_SWITCH,
        owner="switch",
        reads=("memory",),
        writes=("memory",),
        undo="models.load",
        says=(
            "unload model",
            "unload {model}",
            "unload memory {model}",
            "pull memory {model}",
            "delete memory {model}",
        ),
    ),
    Action(
        "switch.ask",
        Domain.TASK,
        "Have a model answer a prompt",
        Ask,
        Scope.CHAT,
        Risk.LOW,
        StepType.CALL_SWITCH,
        owner="switch",
        reads=("memory",),
        says=("ask {prompt}", "summarise {prompt}", "translate {prompt}", "write {prompt}"),
    ),
    Action(
        "switch.set_mode",
        Domain.POWER,
        "Set the engine mode",
        SetMode,
        Scope.MODELS_WRITE,
        Risk.MED,
        StepType.CALL_SWITCH,
        owner="switch",
        reads=("machine",),
        writes=("machine",),
        says=("set mode", "set {mode}", "set mode {mode}", "enable mode {mode}", "mode {mode}"),
    ),
)
