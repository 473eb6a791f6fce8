"""The dial: what goes wrong, how often, and for whom. Decides only; `emulation.py` carries it out."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Args:
        status: answer with this instead of what was worked out; None: the real answer.
        headers: added to the answer.
        body: sent instead of the real answer's body; None: the real body, or the vendor's words for `status`.
        applied: whether the changes are kept all the same.
        lost: no answer at all: the connection stays silent until the sender gives up.
        cut: no answer at all: the connection is closed at once.
        slow: seconds between the first and the second half of the answer's body.
        expired: access tokens issued so far end just before the request is looked at.
        partial: every third row, the first among them, fails in a way that passes.
        omitted: the webhook receiver leaves this many operations out of its answer, the last ones.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    applied: bool = False
    lost: bool = False
    cut: bool = False
    slow: float = 0
    expired: bool = False
    partial: bool = False
    omitted: int = 0

    @property
    def words(self) -> str:
        """The fault in a few words, "" where there is none."""
        after = "applied" if self.applied else "not applied"
        told = {"no answer": self.lost, "cut": self.cut, "slow": self.slow, "token expired": self.expired, "partial": self.partial}
        named = [f"{self.status}"] * (self.status is not None) + [word for word, true in told.items() if true]
        return f"{', '.join(named)} ({after})" if named else ""


NONE = Fault(applied=True)


class RowFault(StrEnum):
    """Why one row of a batch fails."""

    REJECTED = "rejected"
    """For good: the vendor does not take this row."""
    BUSY = "busy"
    """For now: the same row will be taken later."""


class Dial(BaseModel):
    """How often things go wrong. Shares are of requests, at most one fault per request; `rejected` is a share of rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    too_many: float = Field(default=0, ge=0, le=1, description="answered 429 although within the limits")
    unavailable: float = Field(default=0, ge=0, le=1, description="start of a storm of 503")
    storm: int = Field(default=5, ge=1, le=10_000, description="requests a storm lasts")
    server_error: float = Field(default=0, ge=0, le=1, description="answered 500, applied or not by the toss of a coin")
    lost_before: float = Field(default=0, ge=0, le=1, description="connection cut, nothing applied")
    lost_after: float = Field(default=0, ge=0, le=1, description="connection cut, everything applied")
    slow: float = Field(default=0, ge=0, le=1, description="body that stops in the middle")
    slow_seconds: float = Field(default=5, ge=0, le=3600, description="seconds it stops")
    expired_token: float = Field(default=0, ge=0, le=1, description="access tokens end just before")
    partial: float = Field(default=0, ge=0, le=1, description="every third row fails for now")
    rejected: float = Field(default=0, ge=0, le=1, description="rows refused for good, always the same ones")
    limits: bool = Field(default=True, description="keep to the vendor's rate limits")
    single_use_refresh: bool = Field(default=False, description="refresh tokens are good once")
    seed: int = Field(default=0, ge=0, description="same seed and requests, same faults")


class Faults:
    """The faults of one stand-in: `coming` are used up one per request, then the dial decides; `rejected_keys` are always refused."""

    def __init__(self) -> None:
        self.coming: deque[Fault] = deque()
        self.rejected_keys: set[str] = set()
        self.turn(Dial())

    def turn(self, dial: Dial) -> None:
        """Sets the dial and starts its dice anew."""
        self.dial, self._dice, self._storm = dial, random.Random(dial.seed), 0

    def next(self) -> Fault:
        """What happens to the next request."""
        if self.coming:
            return self.coming.popleft()
        if self._storm:
            self._storm -= 1
            return Fault(503)
        dial, draw, coin = self.dial, self._dice.random(), self._dice.random() < 0.5
        for share, fault in (
            (dial.too_many, Fault(429)),
            (dial.unavailable, Fault(503)),
            (dial.server_error, Fault(500, applied=coin)),
            (dial.lost_before, Fault(cut=True)),
            (dial.lost_after, Fault(cut=True, applied=True)),
            (dial.slow, Fault(slow=dial.slow_seconds, applied=True)),
            (dial.expired_token, Fault(expired=True, applied=True)),
            (dial.partial, Fault(partial=True, applied=True)),
        ):
            if draw < share:
                self._storm = dial.storm - 1 if fault.status == 503 else 0
                return fault
            draw -= share
        return NONE

    def refuses(self, key: str) -> bool:
        """Whether a row with this key is refused for good."""
        if key in self.rejected_keys:
            return True
        if not self.dial.rejected:
            return False
        digest = blake2b(f"{self.dial.seed}:{key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.dial.rejected * 2**64
