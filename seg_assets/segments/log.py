"""The log of changes: how an evaluation adds to it, and what it says about a segment's size over time."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import SEGMENT_CHANGES


def logged(log: ir.Table | None, changes: ir.Table, evaluation: int) -> ir.Table:
    """The log with one evaluation more.

    It is written before the memberships are: rows of an evaluation that was killed in between are in it, and are replaced when that evaluation is made again.

    Args:
        log: `SEGMENT_CHANGES` as stored, None at first.
        changes: what `evaluate` found.
        evaluation: version the memberships will have.
    """
    new = changes.mutate(evaluation=ibis.literal(evaluation, "int64")).select(*SEGMENT_CHANGES.schema.names)
    return new if log is None else log.filter(log.evaluation < evaluation).union(new)


def movements(log: ir.Table) -> ir.Table:
    """Per segment and evaluation that changed it: segment, evaluation, as_of, entered, left, and the size it left behind."""
    steps = log.group_by("segment", "evaluation", "as_of").aggregate(
        entered=(log.change == "entered").sum(),
        left=(log.change == "left").sum(),
    )
    so_far = ibis.window(group_by="segment", order_by="evaluation", preceding=None, following=0)
    return steps.mutate(size=(steps.entered - steps.left).sum().over(so_far)).order_by("segment", "evaluation")
