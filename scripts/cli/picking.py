"""Which model to ask when nobody named one."""

from __future__ import annotations

from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed


def pick_model(door: Door, favourite: str | None) -> str:
    """`favourite` while it can be served, so that only switch is woken; else the smallest model that can chat."""
    if favourite and any(model.name == favourite for model in door.served().models):
        return favourite
    return first_chat_model(door)


def first_chat_model(door: Door) -> str:
    """The smallest enabled model that can chat: the one that answers soonest."""
    able = [model for model in door.models() if model.enabled and model.task_type == "chat"]
    if not able:
        raise CommandFailed("There is no model here that can chat.", "See what can be had: ./vx11 models catalog")
    return min(able, key=lambda model: model.size_bytes).name
