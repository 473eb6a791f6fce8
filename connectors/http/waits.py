"""How long an answer asks to wait, and for how long to back off where it does not say. Numbers only: nothing sleeps here."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

MAX_WAIT = 86_400
"""Seconds; a longer wait is taken for a mistake and cut to this."""
_EPOCH = 1_000_000_000
_EPOCH_MS = 1_000_000_000_000


def asked_wait(text: str, now: float) -> float | None:
    """Seconds a Retry-After or rate-limit reset header asks to wait, between 0 and `MAX_WAIT`; None when it says nothing usable.

    Args:
        text: seconds, an HTTP date (RFC 9110, 10.2.3), or an instant as Unix seconds or milliseconds.
        now: Unix time.
    """
    text = text.strip()
    try:
        seconds = float(text) if text.isascii() and text.replace(".", "", 1).isdecimal() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    if seconds >= _EPOCH:
        seconds = (seconds / 1000 if seconds >= _EPOCH_MS else seconds) - now
    return min(max(seconds, 0.0), float(MAX_WAIT))


def backoff(attempt: int, base: float, longest: float, dice: random.Random) -> float:
    """Seconds before attempt `attempt + 1`: doubles each time, drawn between half and all of it so that processes do not come back together."""
    return min(longest, base * 2 ** min(attempt - 1, 30)) * dice.uniform(0.5, 1.0)
