"""What an action is: one row of the registry, from which plans, risks, tools and the grammar are made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.auth import Scope
from config.contracts.intents import Domain
from config.contracts.plans import Risk, StepType
from config.services import FLEET

__all__ = ["Action", "Arguments", "Domain", "Heard", "Nothing", "Risk", "ServiceName", "StepType"]


class Arguments(BaseModel):
    """What an action is told; its fields carry a `Heard` where a sentence can say them.

    `one_of` are fields of which exactly one is needed.
    """

    one_of: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Nothing(Arguments):
    """For actions that need not be told anything."""


class Heard(StrEnum):
    """What in a sentence fills an argument: the annotation of a field that can be said."""

    SERVICE = "service"  # the service that is named
    SERVICES = "services"  # all services that are named
    DURATION = "duration"  # a time span, seconds
    UNTIL = "until"  # a time span that is said by its end: `until 18:00`, `to one hour`; seconds from now
    MEMORY = "memory"  # an amount of memory, MiB
    COUNT = "count"  # a number that stands beside the lexicon's word of the field's name
    NAME = "name"  # the word for a thing nobody can list beforehand: a model
    TEXT = "text"  # words to be handed on: a quotation, or what follows the verb
    CODE = "code"  # a program: fenced, quoted, or what follows a colon
    ID = "id"  # an identifier with digits, as the house gives them
    SOURCE = "source"  # where a model comes from: `hf:…`, `https:…`, `pypi:…`, `file:…`
    URL = "url"
    FILE = "file"  # one file, by path or name with an ending
    FILES = "files"
    CHOICE = "choice"  # one of a literal's values, said as itself or as the lexicon's word for it
    FLAG = "flag"  # true once the word of the field's name is said


def _known(name: str) -> str:
    if name not in FLEET:
        raise ValueError(f"there is no service called {name!r}; one of {', '.join(FLEET)}")
    return name


ServiceName = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(FLEET)})]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the house can be asked to do.

    `owner` is the service that does it. `reads` and `writes` name what it looks at and what it changes: the words are
    those of the tables. `undo` is the action that takes it back. `lane` is a row of the rails. `finds` are the
    conditions that its result answers ("drift"). `says` are its phrases, in words of the lexicon (which knows both
    languages): `open window {services}` stands for every sentence that begins with a word for `open`, has one for
    `window` and names a service. What else a sentence says fills the other arguments, each by its `Heard`.
    """

    name: str
    domain: Domain
    title: str
    arguments: type[Arguments]
    scope: Scope
    risk: Risk
    step_type: StepType
    owner: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    reversible: bool = True
    undo: str | None = None
    lane: str | None = None
    finds: tuple[str, ...] = ()
    says: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is different afterwards."""
        return bool(self.writes)
