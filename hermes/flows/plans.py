"""What a pull would do, said before it does anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy.orm import Session

from config.contracts.models import DiskFit, HeaderCard, MemoryFit, ModelPull, PullPlan
from config.errors import VX11Error
from hermes import store
from hermes.adapters.lookout import Lookout, Sight
from hermes.cards import card_of
from hermes.fits import MemoryNeed, ensure_fits, memory_need
from hermes.flows.arrival import order_seen
from hermes.flows.desk import Desk
from hermes.flows.pulls import ensure_is_the_same, ensure_same_file
from hermes.gguf import GgufHeader
from hermes.orders import Order, order_for
from hermes.sources import HubSource, WebSource, shown


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a plan stands to what is here."""

    is_here: bool
    conflicts: list[str]


class Plans:
    """Plans of pulls; nothing here changes anything."""

    def __init__(self, desk: Desk, lookout: Lookout) -> None:
        self._desk = desk
        self._lookout = lookout

    async def plan(self, request: ModelPull) -> PullPlan:
        """Look at what is asked for; the errors of the look where it cannot be seen, a refusal as part of the plan."""
        order = order_for(request, self._desk.catalogue)
        sight = await self._sight(order)
        reasons: list[str] = []
        if sight is not None:
            order = _noting(reasons, order, sight)
        standing = await self._desk.house.db.reading(self._standing, order)
        need = (
            None if sight is None or sight.size is None else memory_need(sight.header, sight.size, self._desk.machine)
        )
        disk = await asyncio.to_thread(self._disk, order)
        reasons += self._refusals(order, need, disk) + standing.conflicts
        return PullPlan(
            name=order.name,
            source=shown(str(order.source)),
            resolved=shown(order.resolved or str(order.source)),
            sha256=order.expected.sha256,
            size_bytes=order.expected.size_bytes,
            arrived_bytes=self._desk.shelf.tray(str(order.source)).bytes_here,
            card=None if sight is None else header_card(sight.header, sight.header_bytes),
            memory=None if need is None else memory_fit(need),
            disk=disk,
            conflicts=standing.conflicts,
            verdict="here" if standing.is_here else "refused" if reasons else "pull",
            reasons=reasons,
        )

    async def _sight(self, order: Order) -> Sight | None:
        if isinstance(order.source, HubSource | WebSource):
            return await self._lookout.look(order.source)
        return None

    def _standing(self, session: Session, order: Order) -> _Standing:
        conflicts = []
        here = store.model_named(session, order.name)
        is_here = here is not None and here.compatibility != "missing"
        try:
            if here is not None and is_here:
                ensure_is_the_same(here, order)
        except VX11Error as error:
            is_here = False
            conflicts.append(error.detail)
        for job in store.live_jobs(session):
            try:
                if job.source == str(order.source):
                    ensure_same_file(job, order)
                elif job.name == order.name:
                    conflicts.append(f"{order.name!r} is being downloaded from another source (job {job.job_id}).")
            except VX11Error as error:
                conflicts.append(error.detail)
        return _Standing(is_here, conflicts)

    def _disk(self, order: Order) -> DiskFit:
        shelf = self._desk.shelf
        needed, free = order.expected.size_bytes, shelf.space().free
        here = shelf.tray(str(order.source)).bytes_here
        fits = free - max(0, (needed or 0) - here) >= shelf.reserve_bytes
        return DiskFit(fits=fits, needed_bytes=needed, free_bytes=free, reserve_bytes=shelf.reserve_bytes)

    def _refusals(self, order: Order, need: MemoryNeed | None, disk: DiskFit) -> list[str]:
        reasons = []
        if need is not None and not order.force:
            try:
                ensure_fits(order.name, need)
            except VX11Error as error:
                reasons.append(error.detail)
        if not disk.fits:
            reasons.append(
                f"The disk has {disk.free_bytes} bytes free; {disk.needed_bytes} are needed and {disk.reserve_bytes} "
                "must stay free."
            )
        return reasons


def _noting(reasons: list[str], order: Order, sight: Sight) -> Order:
    """The order as it was seen; what speaks against it goes to `reasons`."""
    try:
        return order_seen(order, sight)
    except VX11Error as error:
        reasons.append(error.detail)
        return order


def header_card(header: GgufHeader, header_bytes: int) -> HeaderCard:
    """A header as answers show it."""
    card = card_of(header)
    return HeaderCard(
        architecture=header.architecture,
        title=header.name,
        task_type=card.task_type,
        context_tokens=header.context_length,
        quantisation=header.quantisation,
        parameters=header.parameters,
        layers=header.layers,
        chat_template=header.chat_template,
        licence=header.licence,
        compatibility=card.compatibility,
        unsupported_because=card.meta_info.get("unsupported_because"),
        header_bytes=header_bytes,
    )


def memory_fit(need: MemoryNeed) -> MemoryFit:
    """The arithmetic as answers show it."""
    return MemoryFit(
        fits=need.fits,
        need_mb=need.need_mb,
        file_mb=need.file_mb,
        kv_mb=need.kv_mb,
        overhead_mb=need.around_mb,
        context_tokens=need.context_tokens,
        budget_mb=need.budget_mb,
        said=need.said,
    )
