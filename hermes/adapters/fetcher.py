"""What every way of fetching offers: source in, a file in the tray out."""

from __future__ import annotations

from typing import Protocol, TypeVar

from hermes.adapters.shelf import Tray
from hermes.adapters.work import JobWork
from hermes.orders import Expectation

S = TypeVar("S", contravariant=True)


class Fetcher(Protocol[S]):
    """Brings a source's bytes into `tray.partial`."""

    async def fetch(self, source: S, tray: Tray, expected: Expectation, work: JobWork) -> str:
        """The SHA-256 of what lies in `tray.partial` when this returns, whole and synced to the disk."""
