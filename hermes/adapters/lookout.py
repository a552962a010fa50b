"""Looking at a model where it lies: which file a source means, and its header by ranged requests, before any download.

A look costs a few hundred kilobytes (large vocabularies: some megabytes) and is bounded in bytes and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from config.errors import BadModelFile, BadPeer, Forbidden, Unavailable
from hermes.adapters.web import Beginning, Web
from hermes.gguf import GgufHeader
from hermes.http_ranges import Origin
from hermes.hub import MAX_PAGES, Hub, HubFile, chosen, commit_in, files_in, repositories_in
from hermes.sources import HubSource, WebSource
from hermes.window import FIRST_BYTES, NeedMore, ensure_opening, header_in, next_length

_TRIES: Final = 3
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sight:
    """A model as it was seen: `target` is where its bytes come from, `resolved` the source naming just this file."""

    target: WebSource
    resolved: str
    header: GgufHeader
    header_bytes: int
    size: int | None
    sha256: str | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a source's bytes are, and what the listing says of them."""

    target: WebSource
    resolved: str
    listed: HubFile | None = None


class Lookout:
    """Looks at sources on the web; `pause` is how it waits between tries."""

    def __init__(
        self,
        web: Web,
        hub: Hub,
        *,
        timeout_sec: float,
        max_mb: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._web = web
        self._hub = hub
        self._timeout_sec = timeout_sec
        self._max_bytes = max_mb * _MIB
        self._pause = pause

    async def look(self, source: WebSource | HubSource) -> Sight:
        """See what a source holds now.

        Unavailable where asking again may help, BadModelFile for what is no whole model, NotFound, Forbidden and
        BadPeer as the server has it.
        """
        try:
            async with asyncio.timeout(self._timeout_sec):
                return await self._with_patience(source)
        except TimeoutError:
            raise Unavailable(
                f"The server did not show the model within {self._timeout_sec:g} s.",
                hint="Try again later, or raise VX11_HERMES_LOOK_TIMEOUT_SEC.",
            ) from None

    async def search(self, words: str, limit: int) -> list[dict[str, object]]:
        """Repositories of the Hub that hold GGUF files and fit the words."""
        answer, _ = await self._web.json(self._hub.search_url(words, limit))
        return repositories_in(answer)[:limit]

    async def _with_patience(self, source: WebSource | HubSource) -> Sight:
        for turn in range(1, _TRIES + 1):
            try:
                return await self._look(source)
            except Unavailable as error:
                if turn == _TRIES or (error.retry_after_sec or 0) > self._timeout_sec:
                    raise
                await self._pause(error.retry_after_sec or 0.5 * turn)
        raise AssertionError("the last try returns or raises")

    async def _look(self, source: WebSource | HubSource) -> Sight:
        place = await self._found(source) if isinstance(source, HubSource) else _Place(source, str(source))
        url = place.target.url
        beginning = await self._web.beginning(url, b"", FIRST_BYTES)
        origin = beginning.origin
        _compare(place.listed, beginning)
        ensure_opening(beginning.content)
        header = await _header_in(beginning)
        while isinstance(header, NeedMore):
            beginning = await self._more(url, beginning, header.wanted)
            if beginning.origin.is_other_than(origin):
                raise Unavailable("The file changed while its header was being read.")
            header = await _header_in(beginning)
        return Sight(
            target=place.target,
            resolved=place.resolved,
            header=header,
            header_bytes=len(beginning.content),
            size=origin.total if place.listed is None else place.listed.size,
            sha256=place.listed.sha256 if place.listed else None,
            origin=origin,
        )

    async def _more(self, url: str, beginning: Beginning, wanted: int) -> Beginning:
        have = len(beginning.content)
        until = next_length(have, wanted, self._max_bytes)
        if wanted > self._max_bytes:
            raise BadModelFile(f"The header is larger than {self._max_bytes} bytes; no real model's is.")
        longer = await self._web.beginning(url, beginning.content, until)
        if len(longer.content) <= have:
            raise Unavailable(f"The server stopped sending at byte {have}, in the middle of the header.")
        return longer

    async def _found(self, source: HubSource) -> _Place:
        """The file that a source means, at the commit its revision stands for now."""
        try:
            answer, _ = await self._web.json(self._hub.revision_url(source))
            commit = commit_in(answer)
            file = chosen(await self._listed(source, commit), source)
        except Forbidden as error:
            raise Forbidden(
                f"The Hub does not show {source.repo} to us: it is gated or private.",
                hint=f"Accept its licence at {self._hub.endpoint}/{source.repo} and set VX11_HERMES_HF_TOKEN.",
            ) from error
        resolved = HubSource(source.repo, commit, file.path, None)
        return _Place(WebSource(self._hub.file_url(source, commit, file.path)), str(resolved), file)

    async def _listed(self, source: HubSource, commit: str) -> list[HubFile]:
        files: list[HubFile] = []
        url: str | None = self._hub.tree_url(source, commit)
        for _ in range(MAX_PAGES):
            if url is None:
                break
            answer, headers = await self._web.json(url)
            files += files_in(answer)
            url = self._hub.next_page(headers)
        return files


async def _header_in(beginning: Beginning) -> GgufHeader | NeedMore:
    try:
        return await asyncio.to_thread(header_in, beginning.content, beginning.origin.total)
    except NeedMore as more:
        return more


def _compare(listed: HubFile | None, beginning: Beginning) -> None:
    """BadPeer where the Hub's listing and its file are not the same thing."""
    if listed is None:
        return
    size, linked = beginning.origin.total, beginning.linked_etag
    if size is not None and size != listed.size:
        raise BadPeer(f"The Hub lists the file with {listed.size} bytes, but offers one of {size}.")
    if linked and listed.sha256 and len(linked) == len(listed.sha256) and linked != listed.sha256:
        raise BadPeer("The Hub lists the file with another SHA-256 than the one it offers.")
