"""One delivery of a destination's object at a time: a lock that dies with its owner, and a token by which a late owner is refused.

The lock says at once whether somebody is at work; nothing has to expire first. The token holds where a lock can't: an owner that was cut off from the store, or
whose lock file was deleted, finds another's token in `targets` when it writes, and nothing of that is kept.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from seg_assets.activation.store import TARGETS, Store
from seg_assets.errors import DeliveryError


class BusyError(DeliveryError):
    """Another delivery of the same object is under way."""


class LostClaimError(DeliveryError):
    """Another delivery has taken over; nothing of what was to be written is kept."""


@contextmanager
def sole_owner(store: Store, destination: str, object: str, patience: float) -> Iterator[None]:
    """Holds the lock of an object while the block runs. A killed process holds none.

    Args:
        store: where the ledger is.
        destination, object: what is to be owned.
        patience: seconds to wait for it; a server takes a moment to notice that a client died.

    Raises:
        BusyError: somebody else holds it.
    """
    digest = hashlib.blake2b(f"{destination}\x1f{object}".encode(), digest_size=8)
    file, key = store.file, int.from_bytes(digest.digest(), "big", signed=True)
    lock = _file_lock(file.with_name(f"{file.name}.locks"), digest.hexdigest(), patience) if file else _server_lock(store, key, patience)
    with lock as mine:
        if not mine:
            raise BusyError(f"destination {destination}: another delivery of {object} is under way", hint="wait for it to end, then deliver again")
        yield


@contextmanager
def _file_lock(folder: Path, name: str, patience: float) -> Iterator[bool]:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / f"{name}.lock", timeout=patience, isolation_level=None, check_same_thread=False)) as lock:
        try:
            lock.execute("begin exclusive")
        except sqlite3.OperationalError:
            yield False
        else:
            yield True


@contextmanager
def _server_lock(store: Store, key: int, patience: float) -> Iterator[bool]:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # closed afterwards instead of kept in the pool, and the lock with it, whatever happened to the connection
        connection.exec_driver_sql(f"set lock_timeout = {max(1, int(patience * 1000))}")
        try:
            connection.execute(sa.select(sa.func.pg_advisory_lock(key)))
        except OperationalError:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(DBAPIError):
                connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))


def next_token(store: Store, destination: str, object: str) -> tuple[int, int]:
    """Id of the target and a token that no earlier owner has."""
    mine = (TARGETS.c.destination == destination) & (TARGETS.c.object == object)
    with store.write() as connection:
        fresh = {"destination": destination, "object": object, "token": 0, "floor": 0, "receipts": 0, "head": ""}
        connection.execute(store.insert(TARGETS).on_conflict_do_nothing(), fresh)
        row = connection.execute(sa.update(TARGETS).where(mine).values(token=TARGETS.c.token + 1).returning(TARGETS.c.id, TARGETS.c.token)).one()
    return row.id, row.token
