"""uvicorn's server, for a house that wants to know the moment it is told to end.

What it has begun to answer it still answers, for as long as its grace lasts; but from the signal on it is not ready,
and who acts on others (madre) acts no more: whoever ends her, as `docker compose down` does, is ending them too.
"""

from __future__ import annotations

from types import FrameType

import uvicorn

from config.app import House


class Server(uvicorn.Server):
    """Serves one service; `house.is_ending` from the first signal on."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        self._house.is_ending = True
        self._house.is_ready = False
        super().handle_exit(sig, frame)
