"""How much of a vendor's rate limit is left, over all threads and processes that use the same credential.

Each window counts what was spent in slots of a fortieth of its length, so a day of a million calls is 41 numbers. (pyrate-limiter's SQLite bucket keeps a
row per call and counts them each time, reads a clock of its own, and knows no headers.) A call is taken from its budgets before it is sent, and counted
from when it was answered: the vendor saw it somewhere in between, so no window it may count by ever holds more than the limit.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SLOTS = 40
MARGIN = 0.05
"""Seconds the vendor's clock may run differently within a window, or a call whose answer was lost may still be under way."""

_SCHEMA = """
create table if not exists spent(budget text, slot integer, weight real not null, primary key(budget, slot)) without rowid;
create table if not exists blocked(budget text primary key, until real not null) without rowid;
"""


@dataclass(frozen=True)
class Window:
    """So much weight in so many seconds, under a name that is the same in every process."""

    name: str
    limit: float
    seconds: float

    @property
    def _slot(self) -> float:
        return self.seconds / SLOTS

    def slot(self, now: float) -> int:
        """The slot an instant falls into."""
        return int(now // self._slot)

    def first_counting(self, now: float) -> int:
        """The oldest slot that still counts at an instant."""
        return int((now - self.seconds - MARGIN) // self._slot)

    def frees(self, slot: int) -> float:
        """When a slot no longer counts (Unix seconds)."""
        return (slot + 1) * self._slot + self.seconds + MARGIN


class Budgets:
    """What is spent and what is blocked, in one SQLite file.

    Losing it in a power failure costs at most some refused calls, so it is written without waiting for the disk.

    Args:
        file: made when first used, with its folder.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._turn = file, threading.Lock()  # SQLite lets a thread that must wait sleep for milliseconds, a lock does not
        self._database: sqlite3.Connection | None = None

    def spend(self, windows: Sequence[Window], weight: float, now: float) -> float:
        """Takes `weight` from all windows, or from none.

        Returns:
            0 when it was taken; else the seconds after which it is worth asking again.
        """
        with self._transaction() as database:
            wait = max((self._wait(database, window, weight, now) for window in windows), default=0.0)
            if wait <= 0:
                for window in windows:
                    self._add(database, window, weight, now)
            return max(wait, 0.0)

    def answered(self, windows: Sequence[Window], weight: float, spent_at: float, now: float) -> None:
        """Counts a call from now on, when it was answered or given up, and no longer from when it was sent."""
        moved = [window for window in windows if window.slot(spent_at) != window.slot(now)]
        if not moved:
            return
        with self._transaction() as database:
            for window in moved:
                self._add(database, window, weight, now)
                self._add(database, window, -weight, spent_at, keep_from=now)

    def block(self, windows: Sequence[Window], until: float) -> None:
        """Lets nothing through before an instant: the vendor said so."""
        with self._transaction() as database:
            for window in windows:
                database.execute(
                    "insert into blocked values (?, ?) on conflict(budget) do update set until = max(until, excluded.until)", (window.name, until)
                )

    def learn(self, remaining: Mapping[Window, float], now: float) -> None:
        """Believes the vendor where it says that less is left than we know of: somebody else uses the same limit."""
        with self._transaction() as database:
            for window, left in remaining.items():
                unknown = window.limit - self._spent(database, window, now) - max(left, 0.0)
                if unknown > 0:
                    self._add(database, window, unknown, now)

    def _wait(self, database: sqlite3.Connection, window: Window, weight: float, now: float) -> float:
        blocked = database.execute("select until from blocked where budget = ? and until > ?", (window.name, now)).fetchone()
        wait = blocked[0] - now if blocked else 0.0
        over = self._spent(database, window, now) + min(weight, window.limit) - window.limit
        if over <= 0:
            return wait
        rows = database.execute(
            "select slot, weight from spent where budget = ? and slot >= ? order by slot", (window.name, window.first_counting(now))
        ).fetchall()
        for slot, spent in rows:
            over -= spent
            if over <= 1e-9:
                return max(wait, window.frees(slot) - now)
        return max(wait, window.seconds)

    def _spent(self, database: sqlite3.Connection, window: Window, now: float) -> float:
        query = "select coalesce(sum(weight), 0) from spent where budget = ? and slot >= ?"
        return database.execute(query, (window.name, window.first_counting(now))).fetchone()[0]

    def _add(self, database: sqlite3.Connection, window: Window, weight: float, at: float, keep_from: float | None = None) -> None:
        database.execute(
            "insert into spent values (?, ?, ?) on conflict(budget, slot) do update set weight = weight + excluded.weight",
            (window.name, window.slot(at), weight),
        )
        oldest = window.first_counting(at if keep_from is None else keep_from)
        database.execute("delete from spent where budget = ? and slot < ?", (window.name, oldest))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            if self._database is None:
                self._database = self._opened()
            database = self._database
            database.execute("begin immediate")
            try:
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._file, timeout=60, isolation_level=None, check_same_thread=False)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = off")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            database.execute(statement)
        return database
