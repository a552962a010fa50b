"""What a failure means for the request (may another be asked?) and for the engine (does it count?). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import BadPeer, DeadlineExceeded, PeerTimeout, TooManyRequests, Unavailable, VX11Error
from switch.offers import Kind

_MAY_BE_ASKED_ELSEWHERE = (BadPeer, PeerTimeout, TooManyRequests, Unavailable)
_REST_SEC = 10.0  # after a 429 that did not say how long
_LONGEST_REST_SEC = 3600.0


class BrokenOff(Exception):
    """An answer that had begun cannot be completed; `error` says why, `code` is kept as its outcome."""

    def __init__(self, error: VX11Error, code: str = "broke_off") -> None:
        super().__init__(error.detail)
        self.error = error
        self.code = code


@dataclass(frozen=True, slots=True)
class Verdict:
    """`falls_back`: another engine may be asked. `counts`: it was this engine's fault. `rest_sec`: it is left alone."""

    falls_back: bool
    counts: bool
    rest_sec: float | None = None


def verdict(error: VX11Error, kind: Kind, *, time_is_up: bool = False) -> Verdict:
    """What follows from an error before the first byte; `time_is_up`: the caller's own deadline has passed.

    A local model's queue and cool-down have rules of their own, so it is never left alone from here.
    """
    if time_is_up or not isinstance(error, _MAY_BE_ASKED_ELSEWHERE):
        return Verdict(falls_back=False, counts=False)
    is_busy = isinstance(error, TooManyRequests | DeadlineExceeded)  # others wait for it, or it would take too long
    rest = error.retry_after_sec
    if kind == "local":
        rest = None
    elif rest is None and is_busy:
        rest = _REST_SEC
    return Verdict(True, not is_busy, None if rest is None else min(rest, _LONGEST_REST_SEC))
