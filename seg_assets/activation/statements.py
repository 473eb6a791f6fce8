"""The statements every batch needs, put into words once per claim: for small batches, that would take longer than carrying them out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from seg_assets.activation.store import COMMITTED, OPS, RECEIPTS, TARGETS, Store

COLUMNS = {
    "op_id": sa.String(),
    "op": sa.String(),
    "audience": sa.String(),
    "person_id": sa.BigInteger(),
    "payload_hash": sa.String(),
    "generation": sa.Integer(),
}
"""What the ledger keeps of a planned operation."""
KNOWN = ("id", "op_id", "op", "state", "doubt", "sent_at", "not_before", "job", "version", "generation")
"""What decides about an operation."""
_PERSON = ("target", "audience", "person_id")


class Prepared:
    """A statement in the words of one database. Called with a connection and its parameters, it is carried out."""

    def __init__(self, store: Store, statement: sa.ClauseElement) -> None:
        compiled = statement.compile(store.engine)
        self._text, self._constants = str(compiled), dict(compiled.params or {})

    def __call__(self, connection: sa.Connection, **given: Any) -> sa.CursorResult[Any]:
        return connection.exec_driver_sql(self._text, {**self._constants, **given})


class Statements:
    """Statements about one target. `rows` is a JSON array of rows of `COLUMNS`, `ids` one of operations' ids."""

    def __init__(self, store: Store, target: int) -> None:
        mine = TARGETS.c.id == target
        rows = store.given(sa.bindparam("rows", type_=sa.Text), **COLUMNS)
        among = OPS.c.id.in_(store.listed(sa.bindparam("ids", type_=sa.Text), sa.BigInteger()))
        self.owner = Prepared(store, sa.select(TARGETS.c.token, TARGETS.c.receipts, TARGETS.c.head).where(mine).with_for_update())
        self.planned = Prepared(store, _planned(store, target, rows))
        self.known = Prepared(store, _known(target, rows))
        self.sending = Prepared(store, _sending().where(among))
        acked = {"state": "acked", "reason": sa.bindparam("why"), "receipt": sa.bindparam("number"), "doubt": False}
        self.acked = Prepared(store, sa.update(OPS).where(among).values(**acked))
        self.commit = Prepared(store, _commit(store, among))
        parts = {name: sa.bindparam(f"its_{name}") for name in ("seq", "at", "token", "content", "hash")}
        self.receipt = Prepared(store, sa.insert(RECEIPTS).values(target=target, **parts))
        self.head = Prepared(store, sa.update(TARGETS).where(mine).values(receipts=parts["seq"], head=parts["hash"]))


def _planned(store: Store, target: int, rows: sa.Subquery) -> sa.Insert:
    """Writes down operations that are not known yet."""
    now = {"as_of": sa.bindparam("now_as_of", type_=sa.String), "token": sa.bindparam("now_token", type_=sa.Integer)}
    constant = {"target": target, "state": "planned", "doubt": False, "attempts": 0}
    values = [*rows.c, *now.values(), *(sa.literal(v) for v in constant.values())]
    query = sa.select(*values).where(sa.true())  # or SQLite would take `on conflict` for a join's condition
    return store.insert(OPS).from_select([*COLUMNS, *now, *constant], query).on_conflict_do_nothing()


def _known(target: int, rows: sa.Subquery) -> sa.Select:
    """`KNOWN` of operations, and whether and since which generation their persons are acknowledged to be held.

    All of the rows are there by now; they are joined as if they might not be, so that SQLite goes from row to operation and not the other way.
    """
    its_own = sa.and_(OPS.c.target == target, *(OPS.c[name] == rows.c[name] for name in ("audience", "person_id", "op_id")))
    held = COMMITTED.c.payload_hash.is_not(None), sa.func.coalesce(COMMITTED.c.generation, 0)
    found = rows.outerjoin(OPS, its_own).outerjoin(COMMITTED, sa.and_(*(COMMITTED.c[name] == OPS.c[name] for name in _PERSON)))
    return sa.select(*(OPS.c[name] for name in KNOWN), *held).select_from(found)


def _sending() -> sa.Update:
    now = {"as_of": sa.bindparam("now_as_of"), "job": sa.bindparam("now_job")}
    first = sa.func.coalesce(OPS.c.sent_at, sa.bindparam("now", type_=sa.Float))
    return sa.update(OPS).values(state="sending", reason=None, attempts=OPS.c.attempts + 1, not_before=None, sent_at=first, **now)


def _commit(store: Store, among: sa.ColumnElement[bool]) -> sa.Insert:
    """What acknowledged operations leave behind."""
    held = sa.case((OPS.c.op == "remove", None), else_=OPS.c.payload_hash)
    rows = sa.select(*(OPS.c[name] for name in _PERSON), held, OPS.c.generation).where(among)
    insert = store.insert(COMMITTED).from_select([*_PERSON, "payload_hash", "generation"], rows)
    return insert.on_conflict_do_update(index_elements=_PERSON, set_={name: insert.excluded[name] for name in ("payload_hash", "generation")})
