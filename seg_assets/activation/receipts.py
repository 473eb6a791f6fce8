"""Receipts: what each answer said of which operations. Only ever added to, each sealed with a hash over itself and the one before.

A receipt's content is JSON: state to reason to the ids of operations. Whoever keeps the newest hash elsewhere can prove that nothing before it was changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import pyarrow as pa
import sqlalchemy as sa

from seg_assets.activation.statements import Statements
from seg_assets.activation.store import RECEIPTS, TARGETS, Store, as_json

SCHEMA = pa.schema([("seq", pa.int64()), ("at", pa.string()), ("op_id", pa.string()), ("state", pa.string()), ("reason", pa.string())])


def append(
    connection: sa.Connection,
    statements: Statements,
    before: tuple[int, str],
    token: int,
    at: str,
    content: Mapping[str, Mapping[str, Sequence[str]]],
) -> int:
    """Adds a receipt in the given transaction, which holds the target's row; returns its number.

    Args:
        connection, statements: of the claim.
        before: number and hash of the last receipt.
        token: of the claim.
        at: ISO 8601.
        content: state to reason to the ids of operations.
    """
    seq, text = before[0] + 1, as_json(content)
    hash_ = seal(before[1], seq, at, token, text)
    statements.receipt(connection, its_seq=seq, its_at=at, its_token=token, its_content=text, its_hash=hash_)
    statements.head(connection, its_seq=seq, its_hash=hash_)
    return seq


def seal(before: str, seq: int, at: str, token: int, content: str) -> str:
    """The hash of a receipt: BLAKE2b of the hash before it and of its own columns."""
    return hashlib.blake2b("\x1f".join((before, str(seq), at, str(token), content)).encode(), digest_size=16).hexdigest()


def read(store: Store, target: int) -> pa.Table:
    """One row per operation and receipt, oldest first."""
    query = sa.select(RECEIPTS.c.seq, RECEIPTS.c.at, RECEIPTS.c.content).where(RECEIPTS.c.target == target).order_by(RECEIPTS.c.seq)
    with store.engine.connect() as connection:
        rows = [
            (seq, at, op_id, state, reason or None)
            for seq, at, content in connection.execute(query)
            for state, reasons in json.loads(content).items()
            for reason, op_ids in reasons.items()
            for op_id in op_ids
        ]
    return (
        pa.table([pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), SCHEMA, strict=True)], schema=SCHEMA) if rows else SCHEMA.empty_table()
    )


def first_fault(store: Store, target: int) -> int | None:
    """The number of the first receipt that was changed, is missing, or was added by somebody else; None: every one is as it was written."""
    query = sa.select(RECEIPTS).where(RECEIPTS.c.target == target).order_by(RECEIPTS.c.seq)
    with store.engine.connect() as connection:
        last = connection.execute(sa.select(TARGETS.c.receipts, TARGETS.c.head).where(TARGETS.c.id == target)).one_or_none()
        before, seq = "", 0
        for row in connection.execute(query):
            seq += 1
            before = seal(before, seq, row.at, row.token, row.content)
            if (row.seq, row.hash) != (seq, before):
                return seq
    return seq + 1 if last and (seq, before) != (last.receipts, last.head) else None
