"""What the graph hands to a connector for one call: time, folders, a log."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable


class Clock(Protocol):
    """The time of day, and waiting. Tests give one that does not wait."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemClock:
    """This machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Cost:
    """What calls have cost so far: exchanges, seconds waited, bytes out and in. May be added to by several threads."""

    calls: int = 0
    waited: float = 0.0
    sent: int = 0
    received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, calls: int = 0, waited: float = 0.0, sent: int = 0, received: int = 0) -> None:
        with self._lock:
            self.calls += calls
            self.waited += waited
            self.sent += sent
            self.received += received


@dataclass(frozen=True)
class Context:
    """What the graph hands to a connector for one call.

    Args:
        as_of: the instant the run is true for (UTC); the only clock a connector may use for data.
        log: for progress and warnings; no secrets, no personal data.
        root: folder the paths a connector reads start from (the project's folder); may be read-only.
        home: folder the files a connector keeps start from (where the lake is); `root` where none is given.
        clock: for signatures, rate limits and waiting; never for data.
        deadline: instant after which nothing is waited for; None: no such instant.
        scratch: a folder for temporary files, removed after the run.
        cost: what calls in this context have cost; `Api` adds to it.
    """

    as_of: datetime
    root: Path
    scratch: Path
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("connectors"))
    home: Path | None = None
    clock: Clock = field(default_factory=SystemClock)
    deadline: datetime | None = None
    cost: Cost = field(default_factory=Cost)


@runtime_checkable
class Checks(Protocol):
    """A connector of any kind that can tell whether it works without changing anything at the vendor."""

    def check(self, context: Context) -> None:
        """Asks the vendor for something harmless. Returns when credentials, permissions and address are right.

        Raises:
            ConnectorError: they are not, or the vendor can't be reached.
        """
        ...
