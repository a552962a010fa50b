"""The one circuit breaker: three failures in a row open it for 60 s, then one try decides.

Pure: it is told the time. Pattern: M. Nygard, "Release It!", ch. 5; numbers: CONTRACT, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES_TO_OPEN = 3
OPEN_SEC = 60.0


@dataclass(slots=True)
class Breaker:
    """Guards one peer or provider; `now` is a monotonic time in seconds."""

    failures: int = 0
    opened_at: float | None = None
    trying: bool = False

    def admits(self, now: float) -> bool:
        """Whether a call may go out; when the pause is over, exactly one caller is let through to try."""
        if self.opened_at is None:
            return True
        if self.trying or now - self.opened_at < OPEN_SEC:
            return False
        self.trying = True
        return True

    def retry_after_sec(self, now: float) -> float:
        """Seconds until the next try is allowed; 0 while closed."""
        return 0.0 if self.opened_at is None else max(0.0, self.opened_at + OPEN_SEC - now)

    def succeeded(self) -> None:
        """A call came back: close."""
        self.failures, self.opened_at, self.trying = 0, None, False

    def given_up(self) -> None:
        """A call ended without saying anything about the peer (cancelled, or out of its caller's time)."""
        self.trying = False

    def failed(self, now: float) -> None:
        """A call did not come back: open at the third in a row, or again after a failed try."""
        self.failures += 1
        self.trying = False
        if self.failures >= FAILURES_TO_OPEN:
            self.opened_at = now
