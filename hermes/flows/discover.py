"""Discovery: what models and programs could be had, tier by tier in bounded time; applied only as it was planned."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from config.auth import Caller
from config.contracts.discovery import (
    TIERS,
    Discovery,
    DiscoveryDone,
    DiscoveryItem,
    DiscoveryOrder,
    DiscoveryTier,
    Tier,
    TierState,
)
from config.contracts.models import ModelPull, ModelRegister
from config.errors import Unavailable, VX11Error
from hermes import store
from hermes.adapters.lookout import Lookout
from hermes.adapters.neighbours import Neighbour, Neighbours
from hermes.adapters.shelf import FoundFile
from hermes.discoveries import digest_of, ensure_still, items_of, selected
from hermes.flows.desk import Desk
from hermes.flows.programs import Programs
from hermes.flows.pulls import Pulls
from hermes.flows.registry import Registry
from hermes.sources import FileSource, safe_name

_REMEMBERED: Final = 32  # plans whose difference to the present can be told
_LEAST_SEC: Final = 0.2
Found = tuple[list[DiscoveryItem], str | None]


class _Off(Exception):
    """A tier was not looked at, for the reason it carries."""


class Discoveries:
    """Plans and carries out discoveries."""

    def __init__(
        self,
        desk: Desk,
        lookout: Lookout,
        neighbours: Neighbours,
        *,
        pulls: Pulls,
        registry: Registry,
        programs: Programs,
    ) -> None:
        self._desk = desk
        self._settings = desk.house.settings.hermes
        self._lookout = lookout
        self._neighbours = neighbours
        self._pulls = pulls
        self._registry = registry
        self._programs = programs
        self._plans: OrderedDict[str, dict[str, DiscoveryItem]] = OrderedDict()

    async def discover(self, caller: Caller, order: DiscoveryOrder) -> Discovery:
        """What could be had; with `apply`, carried out if it is still what was planned, else Conflict."""
        with self._desk.house.work.doing("discover"):
            wanted = [tier for tier in TIERS if tier in order.tiers]
            tiers = list(await asyncio.gather(*(self._look(tier, order) for tier in wanted)))
            items = items_of(tiers)
            digest = digest_of(items)
            if not order.apply:
                self._remember(digest, items)
                return Discovery(digest=digest, tiers=tiers)
            planned = str(order.digest)
            ensure_still(planned, self._plans.get(planned), items)
            chosen = selected(items, order.items)
            return Discovery(digest=digest, tiers=tiers, applied=[await self._carry_out(caller, one) for one in chosen])

    async def _look(self, tier: Tier, order: DiscoveryOrder) -> DiscoveryTier:
        """One tier; whatever goes wrong there is its state, not the discovery's."""
        began = time.monotonic()
        state: TierState = "ok"
        items: list[DiscoveryItem] = []
        try:
            async with asyncio.timeout(self._settings.discover_timeout_sec):
                items, reason = await self._tiers[tier](order)
        except _Off as off:
            state, reason = "off", str(off)
        except TimeoutError:
            state, reason = "offline", f"It did not answer within {self._settings.discover_timeout_sec:g} s."
        except Unavailable as error:
            state, reason = "offline", error.detail
        except VX11Error as error:
            state, reason = "error", error.detail
        seconds = round(time.monotonic() - began, 3)
        return DiscoveryTier(tier=tier, state=state, reason=reason, seconds=seconds, items=items)

    @property
    def _tiers(self) -> dict[Tier, Callable[[DiscoveryOrder], Awaitable[Found]]]:
        return {"local": self._local, "catalog": self._catalog, "web": self._web, "cli": self._cli}

    async def _local(self, _order: DiscoveryOrder) -> Found:
        """Files of the models folder without a row, and what other tools keep."""
        rows = await self._desk.house.db.reading(store.all_models)
        known, hashes = {row.path for row in rows}, {row.sha256 for row in rows}
        shelf = self._desk.shelf
        files = await asyncio.to_thread(lambda: [one for one in shelf.files() if shelf.claims_to_be_a_model(one)])
        items = [_unregistered(found) for found in files if found.path not in known]
        if not self._settings.allow_file_sources:
            return items, "Files of other tools are not looked at: VX11_HERMES_ALLOW_FILE_SOURCES is off."
        seconds = max(_LEAST_SEC, self._settings.discover_timeout_sec / 2)
        neighbours, is_all = await asyncio.to_thread(self._neighbours.look, seconds)
        taken = {row.meta_info.get("source") for row in rows}
        strangers = [one for one in neighbours if one.sha256 not in hashes and _source_of(one) not in taken]
        items += [_adoptable(one) for one in strangers]
        return items, None if is_all else "There are more files than could be looked at in the time."

    async def _catalog(self, _order: DiscoveryOrder) -> Found:
        """What the catalogue has and is not here; small starters are suggested."""
        catalogue = await self._registry.catalogue()
        missing = [item for item in catalogue.items if not item.installed and item.job_id is None]
        return [
            DiscoveryItem(
                key=f"catalog:{item.name}",
                act="pull",
                name=item.name,
                source=item.source,
                suggested=item.starter,
                facts={"size_bytes": item.size_bytes, "sha256": item.sha256, "over_2gb": item.over_2gb},
            )
            for item in missing
        ], None

    async def _web(self, order: DiscoveryOrder) -> Found:
        """Repositories of the Hub that fit the query; one file of each is chosen when it is pulled."""
        if not self._settings.web_discovery:
            raise _Off("Searching the Hub is switched off (VX11_HERMES_WEB_DISCOVERY).")
        if order.query is None:
            raise _Off("The Hub is searched only when a `query` says what for.")
        found = await self._lookout.search(order.query, self._settings.web_results)
        return [
            DiscoveryItem(
                key=f"web:{one['repo']}",
                act="pull",
                name=safe_name(f"{str(one['repo']).partition('/')[2]}-q4_k_m"),
                source=f"hf:{one['repo']}:Q4_K_M",
                suggested=False,
                facts={"gated": one["gated"], "licence": one["licence"]},
            )
            for one in found
        ], None

    async def _cli(self, _order: DiscoveryOrder) -> Found:
        """Programs that are on the PATH and not ready yet."""
        tools = {tool.name: tool for tool in (await self._programs.tools()).items}
        found = await self._programs.found()
        return [
            DiscoveryItem(
                key=f"cli:{name}",
                act="onboard",
                name=name,
                suggested=True,
                facts={"title": self._programs.entries[name].title},
            )
            for name, path in sorted(found.items())
            if path is not None and not (name in tools and tools[name].state == "ready")
        ], None

    async def _carry_out(self, caller: Caller, item: DiscoveryItem) -> DiscoveryDone:
        try:
            match item.act:
                case "register":
                    model = await self._registry.register(caller, ModelRegister(path=str(item.facts["path"])))
                    return DiscoveryDone(key=item.key, name=model.name)
                case "onboard":
                    (tool,) = await self._programs.onboard([item.name])
                    return DiscoveryDone(key=item.key, name=tool.name, error=tool.detail)
                case "adopt" | "pull":
                    pull = ModelPull(name=item.name, source=item.source, sha256=item.facts.get("sha256"))
                    job = await self._pulls.pull(caller, pull)
                    return DiscoveryDone(key=item.key, name=job.name, job_id=job.job_id)
        except VX11Error as error:
            return DiscoveryDone(key=item.key, error=error.detail)

    def _remember(self, digest: str, items: dict[str, DiscoveryItem]) -> None:
        self._plans[digest] = items
        self._plans.move_to_end(digest)
        while len(self._plans) > _REMEMBERED:
            self._plans.popitem(last=False)


def _unregistered(found: FoundFile) -> DiscoveryItem:
    return DiscoveryItem(
        key=f"local:{found.path}",
        act="register",
        name=safe_name(found.path.rpartition("/")[2].lower().removesuffix(".gguf")),
        suggested=True,
        facts={"path": found.path, "size_bytes": found.size, "modified_ns": found.modified_ns},
    )


def _source_of(one: Neighbour) -> str:
    return str(FileSource(str(one.path)))


def _adoptable(one: Neighbour) -> DiscoveryItem:
    name = safe_name(one.label.lower().removesuffix(".gguf"))
    facts = {"tool": one.tool, "size_bytes": one.size, "modified_ns": one.modified_ns, "sha256": one.sha256}
    source = _source_of(one)
    return DiscoveryItem(
        key=f"{one.tool}:{source}", act="adopt", name=name, source=source, suggested=False, facts=facts
    )
