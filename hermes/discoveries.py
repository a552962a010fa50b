"""Plans of discoveries: their digest, and how one differs from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from config.contracts.discovery import DiscoveryItem, DiscoveryTier
from config.errors import Conflict, Invalid


def items_of(tiers: Iterable[DiscoveryTier]) -> dict[str, DiscoveryItem]:
    """Everything found, by key."""
    return {item.key: item for tier in tiers for item in tier.items}


def digest_of(items: Mapping[str, DiscoveryItem]) -> str:
    """SHA-256 of what a plan would do: the same findings have the same digest, in whatever order they were found."""
    content = [items[key].model_dump(mode="json") for key in sorted(items)]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def ensure_still(digest: str, planned: Mapping[str, DiscoveryItem] | None, now: Mapping[str, DiscoveryItem]) -> None:
    """Conflict, with the difference where the plan is remembered, unless what is found now is what was planned."""
    if digest_of(now) == digest:
        return
    if planned is None:
        raise Conflict(
            "What is found now is not what this plan was made of, and the plan itself is not remembered any more.",
            hint="Discover again without `apply`, then apply with the new digest.",
        )
    difference = {
        "added": sorted(now.keys() - planned.keys())[:50],
        "removed": sorted(planned.keys() - now.keys())[:50],
        "changed": sorted(key for key in now.keys() & planned.keys() if now[key] != planned[key])[:50],
    }
    said = "; ".join(f"{kind}: {', '.join(keys[:5])}" for kind, keys in difference.items() if keys)
    raise Conflict(
        f"The plan is stale ({said}).",
        hint="Discover again without `apply`, look at the difference, then apply with the new digest.",
        extra={"difference": difference},
    )


def selected(items: Mapping[str, DiscoveryItem], wanted: Sequence[str] | None) -> list[DiscoveryItem]:
    """The items to carry out: those named, else the suggested ones."""
    if wanted is None:
        return [item for item in items.values() if item.suggested]
    unknown = [key for key in wanted if key not in items]
    if unknown:
        raise Invalid(
            f"The plan has no item {unknown[0]!r}.", errors=[{"field": "items", "message": "not in this plan"}]
        )
    return [items[key] for key in dict.fromkeys(wanted)]
