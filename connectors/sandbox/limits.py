"""Rate windows: how many calls were let through lately, how many still may, and when the next may."""

from __future__ import annotations

from collections import deque


class Window:
    """A rolling window: at most `limit` calls within any `seconds`.

    Args:
        limit: calls let through.
        seconds: length of the window.
        label: what the vendor calls it.
    """

    def __init__(self, limit: int, seconds: float, label: str = "") -> None:
        self.limit, self.seconds, self.label = limit, seconds, label
        self._taken: deque[float] = deque()

    def remaining(self, now: float) -> int:
        """Calls that may still come at `now` (Unix seconds)."""
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return self.limit - len(self._taken)

    def take(self, now: float) -> None:
        """Counts a call."""
        self._taken.append(now)

    def free_at(self, now: float) -> float:
        """Unix seconds from which a call may come; `now` where one may already."""
        return now if self.remaining(now) > 0 else self._taken[0] + self.seconds
