"""The statements every batch needs, built once per claim: for small batches, building them would take longer than carrying them out."""

from __future__ import annotations

import sqlalchemy as sa

from seg_assets.activation.store import COMMITTED, OPS, RECEIPTS, TARGETS, Store

UNANSWERED = "sent, and no answer was written down"


class Statements:
    """Statements about one target. Those about operations take the parameter `ids`, a JSON array; the others are named as they are used."""

    def __init__(self, store: Store, target: int) -> None:
        mine = TARGETS.c.id == target
        among = OPS.c.id.in_(store.listed(sa.bindparam("ids", type_=sa.Text), sa.BigInteger()))
        self.owner = sa.select(TARGETS.c.token, TARGETS.c.receipts, TARGETS.c.head).where(mine).with_for_update()
        self.sending = (
            sa.update(OPS)
            .where(among)
            .values(
                state="sending",
                reason=UNANSWERED,
                attempts=OPS.c.attempts + 1,
                not_before=None,
                as_of=sa.bindparam("given_as_of"),
                job=sa.bindparam("given_job"),
                sent_at=sa.func.coalesce(OPS.c.sent_at, sa.bindparam("given_now", type_=sa.Float)),
            )
        )
        self.acked = (
            sa.update(OPS)
            .where(among)
            .values(state="acked", reason=sa.bindparam("given_reason"), receipt=sa.bindparam("given_receipt"), doubt=False)
        )  # fmt: skip
        held = sa.case((OPS.c.op == "remove", None), else_=OPS.c.payload_hash)
        rows = sa.select(OPS.c.target, OPS.c.audience, OPS.c.person_id, held, OPS.c.generation).where(among)
        insert = store.insert(COMMITTED).from_select(["target", "audience", "person_id", "payload_hash", "generation"], rows)
        moved = {name: insert.excluded[name] for name in ("payload_hash", "generation")}
        self.commit = insert.on_conflict_do_update(index_elements=["target", "audience", "person_id"], set_=moved)
        self.receipt = sa.insert(RECEIPTS).values(
            target=target, **{name: sa.bindparam(f"given_{name}") for name in ("seq", "at", "token", "content", "hash")}
        )
        self.head = sa.update(TARGETS).where(mine).values(receipts=sa.bindparam("given_seq"), head=sa.bindparam("given_hash"))
