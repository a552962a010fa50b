"""The two pipe ends that a service inherits from the fork server; only madre is given them."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForkLink:
    """Madre's ends: orders are written to `orders`, reports are read from `reports` (file descriptors)."""

    orders: int
    reports: int


@dataclass(frozen=True, slots=True)
class LinkPair:
    """Both ends of a fresh pair: the fork server keeps its own and hands `theirs` to the child."""

    orders: int
    reports: int
    theirs: ForkLink

    def close_theirs(self) -> None:
        """Let go of the child's ends after the fork, so that its death shows as the end of the pipe."""
        os.close(self.theirs.orders)
        os.close(self.theirs.reports)

    def close(self) -> None:
        """Let go of this side's ends."""
        os.close(self.orders)
        os.close(self.reports)


def open_link() -> LinkPair:
    """A fresh pair; the fork server's own ends never block it."""
    orders_read, orders_write = os.pipe()
    reports_read, reports_write = os.pipe()
    os.set_blocking(orders_read, False)
    os.set_blocking(reports_write, False)
    return LinkPair(orders_read, reports_write, ForkLink(orders_write, reports_read))
