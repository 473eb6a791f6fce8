"""What can be wrong with deliveries, told from the lake and the ledger: the same findings for checks, which warn or stop, and for alerts, which tell people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ibis

from seg_assets.activation.guards import GUARD
from seg_assets.graph import DestinationNode, Graph
from seg_assets.schema.tables import MEMBERSHIPS, PERSON_CONSENTS


@dataclass(frozen=True)
class Finding:
    """Whether one promise about a destination holds.

    Args:
        name: which promise.
        ok: whether it does.
        words: what is the matter, for people, when it does not.
        figures: what it was judged by.
    """

    name: str
    ok: bool
    words: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def plan_findings(graph: Graph, node: DestinationNode) -> list[Finding]:
    """`consent` and `removal_guard`, of a destination's plan."""
    if node.object is None or not graph.lake.exists(key := _plan_key(node)):
        return []
    planned, consents = graph.lake.read(key), graph.lake.read(PERSON_CONSENTS.key)
    sent = planned.filter(planned.blocked.isnull(), planned["op"].isin(["add", "update"]), planned.leave.isnull())
    granted = consents.filter(consents.granted)
    wrong = 0
    for audience, segment in graph.segments().segments.items():
        for purpose in dict.fromkeys([*segment.needs, *node.config.needs]):
            allowed = granted.filter(granted.purpose == purpose)
            wrong += int(sent.filter(sent.audience == audience).anti_join(allowed, "person_id").count().execute())
    checked = int(sent.count().execute())
    stopped = planned.filter(planned.blocked.startswith(GUARD)).group_by(reason="blocked").aggregate(n=ibis._.count()).to_pyarrow().to_pylist()
    reasons = {row["reason"]: row["n"] for row in sorted(stopped, key=lambda r: r["reason"])}
    coverage = 1 - wrong / checked if checked else 1.0
    return [
        Finding("consent", wrong == 0, f"{wrong:,} operations lack a consent", {"without_consent": wrong, "checked": checked, "coverage": coverage}),
        Finding("removal_guard", not reasons, f"{sum(reasons.values()):,} removals are stopped by a guard", {"stopped": reasons}),
    ]


def delivery_findings(graph: Graph, node: DestinationNode) -> list[Finding]:
    """`delivered`, `rejected`, `in_doubt`, `holdout_leak` and `receipts`, of what was delivered."""
    if node.object is None:
        return [Finding("delivered", not node.config.armed, f"the destination can't be used: {node.error}")]
    ledger = graph.ledger(node.name, node.object.name)
    states = ledger.states()
    unsent = states.get("retry_wait", 0)
    rejected, answered = _rejected(ledger.operations().to_pylist())
    share = rejected / answered if answered else 0.0
    leaked = _leaked(graph, ledger.committed().to_pylist())
    fault = ledger.first_fault()
    return [
        Finding("delivered", unsent == 0, f"{unsent:,} operations could not be sent yet", {"waiting": unsent, "states": states}),
        Finding(
            "rejected",
            share <= node.config.max_rejected,
            f"{rejected:,} of {answered:,} operations were rejected ({share:.1%})",
            {"rejected": rejected, "answered": answered, "share": round(share, 4), "at_most": node.config.max_rejected},
        ),
        Finding(
            "in_doubt", not states.get("in_doubt"), f"{states.get('in_doubt', 0):,} operations are in doubt", {"in_doubt": states.get("in_doubt", 0)}
        ),
        Finding("holdout_leak", leaked == 0, f"{leaked:,} persons of control groups are held", {"held": leaked}),
        Finding("receipts", fault is None, f"receipt {fault} is not as it was written", {"first_fault": fault or 0}),
    ]


def _rejected(operations: list[dict[str, Any]]) -> tuple[int, int]:
    """Rejected and answered operations of the newest delivery."""
    newest = max((row["as_of"] for row in operations if row["as_of"]), default=None)
    counts = Counter(row["state"] for row in operations if row["as_of"] == newest)
    return counts["rejected"], counts["rejected"] + counts["acked"]


def _leaked(graph: Graph, committed: list[dict[str, Any]]) -> int:
    """Persons the destination holds although they are held out."""
    if not graph.lake.exists(MEMBERSHIPS.key):
        return 0
    memberships = graph.lake.read(MEMBERSHIPS.key)
    rows = memberships.filter(memberships.holdout).select("segment", "person_id").to_pyarrow().to_pylist()
    control = {(row["segment"], row["person_id"]) for row in rows}
    return sum((row["audience"], row["person_id"]) in control for row in committed if row["payload_hash"] is not None)


def _plan_key(node: DestinationNode) -> tuple[str, ...]:
    return ("activation", node.name, node.object.name if node.object else "unavailable", "plan")
