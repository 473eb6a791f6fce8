"""Access and refresh tokens of one credential, kept so that neither a second process nor a crash can waste a single-use refresh token.

One SQLite file per credential. Whoever renews holds its write lock while it asks the vendor; everybody else waits and then finds the new token. What the
vendor gave is on the disk before anybody uses it. A process that is killed loses the lock with its life. How a token is asked for is in `auth`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SCHEMA = """create table if not exists token(only integer primary key check(only = 1), version integer not null, access text not null, refresh text,
             issued_at real not null, expires_at real, base_url text)"""
_COLUMNS = "version, access, refresh, issued_at, expires_at, base_url"
LOCK_SECONDS = 120
"""How long to wait for another process that is renewing."""


@dataclass(frozen=True)
class Token:
    """An access token.

    Args:
        access: what requests are sent with.
        issued_at: Unix seconds.
        refresh: what the next token is asked for with, if any.
        expires_at: Unix seconds; None when the vendor does not say.
        base_url: where this token is to be used, when the vendor says so.
        version: counts the renewals of this credential.
    """

    access: str = field(repr=False)
    issued_at: float
    refresh: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    base_url: str | None = None
    version: int = 0

    def is_fresh(self, now: float) -> bool:
        """Whether less than 80% of its life, and all but its last minute, are over."""
        if self.expires_at is None:
            return True
        life = self.expires_at - self.issued_at
        return now < self.expires_at - min(max(0.2 * life, 60.0), 0.5 * life)


class TokenStore:
    """The token of one credential.

    Args:
        file: made when first used, with its folder; readable by its owner only.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def current(self) -> Token | None:
        """The newest token, if there is one."""
        with self._database() as database:
            return _read(database)

    def renewed(self, stale: int | None, renew: Callable[[Token | None], Token]) -> Token:
        """A token newer than `stale`; asks the vendor only when nobody else has.

        Args:
            stale: version of the token that is no longer good; None when there was none.
            renew: asks the vendor, given the newest token there is.
        """
        with self._database() as database:
            database.execute("begin immediate")
            try:
                held = _read(database)
                if held and (stale is None or held.version > stale):
                    database.execute("rollback")
                    return held
                given = renew(held)
                version = held.version + 1 if held else 1
                row = (version, given.access, given.refresh or (held and held.refresh), given.issued_at, given.expires_at, given.base_url)
                if held is None:
                    database.execute(f"insert into token(only, {_COLUMNS}) values (1, ?, ?, ?, ?, ?, ?)", row)
                else:
                    _swap(database, row, held.version)
                database.execute("commit")
            except BaseException:
                if database.in_transaction:
                    database.execute("rollback")
                raise
            return Token(given.access, given.issued_at, row[2], given.expires_at, given.base_url, version)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._file, timeout=LOCK_SECONDS, isolation_level=None)
        try:
            database.execute("pragma synchronous = full")
            database.execute(_SCHEMA)
            yield database
        finally:
            database.close()


def _read(database: sqlite3.Connection) -> Token | None:
    row = database.execute(f"select {_COLUMNS} from token").fetchone()
    if row is None:
        return None
    version, access, refresh, issued_at, expires_at, base_url = row
    return Token(access, issued_at, refresh, expires_at, base_url, version)


def _swap(database: sqlite3.Connection, row: tuple, expected: int) -> None:
    """Writes a token over the version it was made from, and over no other."""
    query = "update token set version = ?, access = ?, refresh = ?, issued_at = ?, expires_at = ?, base_url = ? where version = ?"
    if database.execute(query, (*row, expected)).rowcount != 1:
        raise RuntimeError("the token changed although it was locked")
