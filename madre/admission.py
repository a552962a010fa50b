"""Whether everything that would run fits the memory the services may take.

The sum is over declared figures (`config/services.py`), not measured ones, so the answer is the same before and
after a start, and two windows that fit one by one cannot both slip in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.errors import NotEnoughMemory


def admit(services: Iterable[str], declared_mb: Mapping[str, int], budget_mb: int) -> None:
    """NotEnoughMemory, with the sum spelled out, unless `services` together fit `budget_mb` (MiB)."""
    wanted = sorted(set(services))
    total = sum(declared_mb[service] for service in wanted)
    if total <= budget_mb:
        return
    terms = " + ".join(f"{service} {declared_mb[service]}" for service in wanted)
    raise NotEnoughMemory(
        f"{terms} = {total} MiB, and the budget is {budget_mb} MiB: {total - budget_mb} MiB too much.",
        hint="Close a window (GET /madre/power/state lists them), or raise VX11_POWER_MEMORY_MB.",
        extra={"wanted_mb": total, "budget_mb": budget_mb},
    )
