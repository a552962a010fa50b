"""Composition of the door: its own routes, and in front of them the byte passage."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware

from config.app import House, create_app
from tentaculo_link import routes
from tentaculo_link.adapters.passage import Passage
from tentaculo_link.flows import Flows
from tentaculo_link.limits import RateLimit
from tentaculo_link.tickets import Tickets
from tentaculo_link.waking import Waking


def create(house: House) -> FastAPI:
    """The gateway app on the foundation `house`."""
    gateway = house.settings.gateway
    limit, tickets, waking = RateLimit(gateway.rate_per_sec, gateway.rate_burst), Tickets(), Waking(house)
    passage = Middleware(Passage, house=house, waking=waking, limit=limit, tickets=tickets)
    app = create_app(house, [routes.fleet, routes.auth], layers=[passage], max_body_mb=gateway.max_body_mb)
    app.state.flows, app.state.limit, app.state.tickets = Flows(house, waking), limit, tickets
    return app
