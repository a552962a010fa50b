"""Whoever answers orders: a local model, an endpoint, a program, all behind one protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from config.streaming import Head
from switch.account import Usage
from switch.orders import Asker, Order
from switch.waiting import Waiting

Items = AsyncGenerator[Head | Waiting | Usage | bytes, None]


class Provider(Protocol):
    """One provider, for one model of it.

    `ask` gives what there is to tell while the order waits, then the head of an answer, its pieces, and its usage where
    the pieces do not hold it. Before the head it raises VX11Errors (another engine may be asked then), after it
    BrokenOff. Closing it drops the order.
    """

    def ask(self, order: Order, asker: Asker) -> Items:
        """Answer an order that names its model."""
        ...
