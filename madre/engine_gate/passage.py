"""How a request passes the gate: judged, checked at the engine, sent on anew, its answer streamed back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from aiohttp import ClientError, web

from config.clients import ByteClient
from config.errors import Forbidden, VX11Error
from madre.adapters.engine import Engine
from madre.engine_gate.rules import CREATES, PROJECT_LABEL, Thing, judged

_VERSION: Final = re.compile(r"(/v1\.(?:4[1-9]|[5-9][0-9]))?(/.*)")  # older ones take other words for the same things
_LARGEST_BODY: Final = 1 << 20
_KEPT: Final = ("content-type", "api-version", "ostype", "server", "docker-experimental", "builder-version")
_log = logging.getLogger(__name__)


class Passage:
    """The gate before the engine at `address`, for the things of `project`; closes what it made with its app."""

    def __init__(self, address: str, project: str, client: Callable[..., ByteClient]) -> None:
        self._engine = Engine(address, client)
        self._project = project

    def app(self) -> web.Application:
        """The gate as a web application."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_cleanup.append(self._close)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._passed(request)
        except VX11Error as error:
            if isinstance(error, Forbidden):
                _log.warning("refused: %s", error.detail)
            return _said(error.detail, error.status)
        except (ClientError, OSError):
            return _said("The engine does not answer.", 503)

    async def _passed(self, request: web.Request) -> web.StreamResponse:
        version, path = _parts(request.rel_url.raw_path)
        body = await _read(request) if path in CREATES else None  # other bodies do not pass
        allowed = judged(request.method, path, dict(request.query), body, self._project)
        for thing in allowed.things:
            await self._must_be_ours(thing)
        async with self._engine.passing(request.method, f"{version}{path}", allowed.query, body) as answer:
            kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            passed = web.StreamResponse(status=answer.status, headers=kept)
            await passed.prepare(request)
            async for piece in answer.content.iter_any():
                await passed.write(piece)
            return passed

    async def _must_be_ours(self, thing: Thing) -> None:
        """Forbidden unless the engine says that this is the project's; NotFound where there is no such thing."""
        tail = "/json" if thing.kind == "containers" else ""
        found = await self._engine.get(f"/{thing.kind}/{thing.name}{tail}")
        labels = (found["Config"] if thing.kind == "containers" else found)["Labels"] or {}
        if labels.get(PROJECT_LABEL) != self._project:
            raise Forbidden(f"{thing.kind}/{thing.name} is not of the project {self._project}.")

    async def _close(self, _app: web.Application) -> None:
        await self._engine.close()


def _said(message: str, status: int) -> web.Response:
    """An answer as the engine words them; its clients know this one content type, without a charset."""
    return web.Response(body=json.dumps({"message": message}), status=status, content_type="application/json")


def _parts(raw_path: str) -> tuple[str, str]:
    """The API's version and the path after it."""
    parted = _VERSION.fullmatch(raw_path)
    if parted is None or "%" in raw_path:
        raise Forbidden("This path does not pass the gate.")
    return parted[1] or "", parted[2]


async def _read(request: web.Request) -> Any:
    """What is to be created. It is written anew for the engine, so that both read the same: of a name that comes
    twice, or in another case, the engine would take what the gate has not seen.
    """
    try:
        return json.loads(await request.read())
    except ValueError:
        raise Forbidden("The body is no JSON.") from None
