"""One service as a process: its app on uvicorn, until a signal ends it.

Forked children of the fork server and `python -m config <service>` both come through `serve`.
"""

from __future__ import annotations

import gc
import importlib
import ipaddress
import sys

from config import logs
from config.app import House, build_house
from config.forkserver.link import ForkLink
from config.migrate import wait_for_head
from config.services import service_named
from config.settings import Settings

COMPOSE_TOKEN = "vx11-local-token"
_YOUNG_OBJECTS = 10_000  # between two collections; Python's own default is 700
_GRACE_SEC = 4
_KEEP_ALIVE_SEC = 65  # longer than any client of the house keeps an idle connection: the client closes first


def serve(name: str, settings: Settings, *, link: ForkLink | None = None) -> int:
    """Run the service `name` until SIGTERM or SIGINT; the exit status: 0 once it has served.

    `link` is how madre reaches the fork server that started her.
    """
    logs.set_up(name, settings.log_level)
    refuse_open_door(settings)
    house = build_house(name, settings)
    house.fork_link = link
    wait_for_head(house.db)
    return _run(house)


def refuse_open_door(settings: Settings) -> None:
    """SystemExit when the well-known token of the compose file would stand on an address others can reach."""
    token = settings.token.get_secret_value() if settings.token else None
    if token == COMPOSE_TOKEN and not _is_loopback(settings.bind):
        sys.exit(
            f"refused to start: VX11_BIND is {settings.bind}, where others can reach the door, and VX11_TOKEN is the "
            f"default that everybody knows; set VX11_TOKEN to a secret of your own, or leave VX11_BIND at 127.0.0.1"
        )


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _run(house: House) -> int:
    import uvicorn  # noqa: PLC0415  # the fork server imports this module without serving anything

    from config.server import Server  # noqa: PLC0415

    settings, service = house.settings, service_named(house.service.name)
    room = importlib.import_module(f"{service.module}.app")
    server = Server(
        uvicorn.Config(
            room.create(house),
            host=settings.listens_on(service.name),
            port=settings.port_of(service.name),
            loop="uvloop",
            http="httptools",
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SEC,
            timeout_graceful_shutdown=_GRACE_SEC,
        ),
        house,
    )
    _calm_garbage_collector()
    server.run()
    return 0 if server.started else 1


def _calm_garbage_collector() -> None:
    """What is there now stays for the life of the process: take it out of every collection, and collect less
    often. With Python's defaults a tenth of the door's time went into looking at objects that never go."""
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
