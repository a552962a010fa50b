"""What a discovery finds and would do (CONTRACT, section 6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from config.contracts.base import Answer, Request

Tier = Literal["local", "catalog", "web", "cli"]
TierState = Literal["ok", "offline", "off", "error"]
DiscoveryAct = Literal["register", "adopt", "pull", "onboard"]

TIERS: tuple[Tier, ...] = ("local", "catalog", "web", "cli")


class DiscoveryOrder(Request):
    """Look for models and programs; `web` is asked only with a `query`.

    Without `apply` a plan and its `digest` come back and nothing changes. With `apply`, the same order and that digest,
    the items named (default: the suggested ones) are carried out, if the plan would still be the same.
    """

    apply: bool = False
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(default_factory=lambda: list(TIERS))
    query: str | None = Field(default=None, min_length=1, max_length=128)
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    items: Annotated[list[Annotated[str, Field(max_length=1200)]], Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _applies_a_plan(self) -> DiscoveryOrder:
        if self.apply and self.digest is None:
            raise ValueError("to apply, give the `digest` of the plan")
        return self


class DiscoveryItem(Answer):
    """One thing found. `key` names it in `items`; `act` is what applying does: register a file of the models folder,
    adopt (link or copy) one of another tool, pull, or onboard a program. `facts` tell it apart from another version."""

    key: str
    act: DiscoveryAct
    name: str
    source: str | None = None
    suggested: bool
    facts: dict[str, Any] = Field(default_factory=dict)


class DiscoveryTier(Answer):
    """One place that was looked at; `reason` says why it is not `ok`, or that it was cut short."""

    tier: Tier
    state: TierState
    reason: str | None
    seconds: float
    items: list[DiscoveryItem]


class DiscoveryDone(Answer):
    """What applying one item led to: a job, a model or a program, or why not."""

    key: str
    job_id: str | None = None
    name: str | None = None
    error: str | None = None


class Discovery(Answer):
    """A plan, or with `applied` what became of it."""

    digest: str
    tiers: list[DiscoveryTier]
    applied: list[DiscoveryDone] = Field(default_factory=list)
