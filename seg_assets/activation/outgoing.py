"""Operations as they go out: a plan's rows joined with personal data, at the moment of sending and for nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.activation.plan import address, address_in

FIELD, OPTIONAL = "field_", "optional_"
CHUNK = 50_000
"""Operations taken up in the ledger at once."""


def outgoing(
    plan: ir.Table,
    acked: ir.Table,
    people: ir.Table,
    vault: ir.Table,
    match_key: str,
    fields: Mapping[str, str],
    skip: Collection[str] = (),
    former: ir.Table | None = None,
) -> Iterator[pa.RecordBatch]:
    """Operations to send, removals first, with the match key's value and the payload's fields. Never keep what this yields.

    Args:
        plan: what `plan` returned, blocked operations included.
        acked: op_id of operations the destination has acknowledged: a plan that was delivered in part goes on where it stopped.
        people: person_id and the columns named in `fields`.
        vault: `identity/vault`.
        match_key: which column of the vault persons are matched by; "person_id" needs none.
        fields: name in the payload to the person's column.
        skip: fields that are not sent where they have no value; their columns begin with `OPTIONAL`, the others' with `FIELD`.
        former: person_id, reach_hash, key: values of the match key persons had before. Who was delivered under one is taken out under it.
    """
    due = plan.filter(plan.blocked.isnull()).anti_join(acked, "op_id")
    known = due.select("person_id").distinct() if match_key == "person_id" else vault
    keys = known.select("person_id", key=known[match_key].cast("string"))
    values = people.select("person_id", **{f"{OPTIONAL if n in skip else FIELD}{n}": c for n, c in fields.items()})
    joined = due.left_join(keys, "person_id").drop("person_id_right").left_join(values, "person_id").drop("person_id_right")
    if former is not None:
        joined = _under(joined, former)
    order = [(joined["op"] == "remove").ifelse(0, 1), joined.audience, joined.person_id]
    # Kept and read piece by piece: any other query on the connection would end a stream, and nobody would miss the rest.
    rows = joined.mutate(place=ibis.row_number().over(order_by=order)).cache()
    for start in range(0, rows.count().to_pyarrow().as_py(), CHUNK):
        piece = rows.filter(rows.place >= start, rows.place < start + CHUNK).order_by("place").drop("place")
        yield from piece.to_pyarrow().combine_chunks().to_batches()


def _under(rows: ir.Table, former: ir.Table) -> ir.Table:
    """Those who leave, with the key they were delivered under."""
    known = former.select("person_id", at=address(former.reach_hash), was="key").distinct(on=["person_id", "at"])
    rows = rows.mutate(under=((rows["op"] == "remove") | (rows.leave == "clear").fill_null(False)).ifelse(address_in(rows.payload_hash), ""))
    rows = rows.left_join(known, [rows.person_id == known.person_id, rows.under == known.at]).drop("person_id_right", "at", "under")
    return rows.mutate(key=ibis.coalesce(rows.was, rows.key)).drop("was")
