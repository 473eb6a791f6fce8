"""What is known about deliveries: how each destination stands, why a person is where they are, what a destination really holds. Nothing is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.types import Context, ReadsBack
from seg_assets.activation.drift import Drift, Member, drift, sample
from seg_assets.activation.mapping import reads
from seg_assets.deliveries.planning import Inputs, Planning
from seg_assets.errors import SegError
from seg_assets.graph import DestinationNode, Graph
from seg_assets.schema.tables import MEMBERSHIPS, VAULT


def node_of(graph: Graph, name: str) -> DestinationNode:
    """The destination of that name.

    Raises:
        SegError: there is none, or it can't be used.
    """
    node = next((node for node in graph.destinations if node.name == name), None)
    if node is None:
        known = ", ".join(node.name for node in graph.destinations) or "none"
        raise SegError(f"there is no destination {name!r}", hint=f"the project has {known}")
    if node.object is None:
        raise SegError(f"destination {name} can't be used: {node.error}")
    return node


def planning_now(graph: Graph, node: DestinationNode, inputs: Inputs | None = None) -> Planning:
    """A plan in the making, from the lake as it is (or from `inputs`, which another one was made from), true for the instant of its memberships.

    Raises:
        SegError: there are no memberships yet.
    """
    if not graph.lake.exists(MEMBERSHIPS.key):
        raise SegError("there are no memberships yet", hint=f"`seg run --project {graph.project.root}` makes them")
    as_of = datetime.fromisoformat(str(graph.lake.facts(MEMBERSHIPS.key)["as_of"])).astimezone(UTC)
    return Planning(graph, node, inputs or Inputs.newest(graph, as_of), as_of)


def standing(graph: Graph, node: DestinationNode) -> dict[str, Any]:
    """How a destination stands: what it holds, operations by state, the last answer, and whether the receipts are as they were written."""
    if node.object is None:
        return {"destination": node.name, "object": None, "armed": node.config.armed, "error": node.error}
    ledger = graph.ledger(node.name, node.object.name)
    receipts = ledger.receipts()
    return {
        "destination": node.name,
        "object": node.object.name,
        "armed": node.config.armed,
        "held": sum(row is not None for row in ledger.committed()["payload_hash"].to_pylist()),
        "states": dict(sorted(ledger.states().items())),
        "last_answer": max(receipts["at"].to_pylist(), default=None),
        "receipts": len(receipts),
        "broken_receipt": ledger.first_fault(),
    }


def person_named(graph: Graph, text: str) -> int:
    """The person with this number, e-mail address, phone number or customer id.

    Raises:
        SegError: nobody is known by it.
    """
    vault = graph.lake.read(VAULT.key)
    matches = [vault[name] == (text.lower() if name == "email" else text) for name in ("email", "phone", "user_id")]
    if text.lstrip("-").isdigit():
        matches.append(vault.person_id == int(text))
    one, *others = matches
    for other in others:
        one = one | other
    found = vault.filter(one).select("person_id").distinct().to_pyarrow()["person_id"].to_pylist()
    if len(found) != 1:
        what = "several persons are known by that" if found else "nobody is known by that"
        raise SegError(what, hint="name a person's number, e-mail address, phone number or customer id")
    return found[0]


def explained(graph: Graph, node: DestinationNode, person: int) -> list[dict[str, Any]]:
    """Why a person is, or is not, in each audience of a destination: one row per audience that has to do with them.

    Returns:
        Rows with destination, audience, member, held_out, held, planned, why, last (state of the newest operation), reason, told (fields, except those made
        from what identifies the person).
    """
    planning = planning_now(graph, node)
    ledger = graph.ledger(node.name, planning.object.name)
    memberships = planning.inputs.memberships
    mine = {r["segment"]: r for r in memberships.filter(memberships.person_id == person).select("segment", "holdout").to_pyarrow().to_pylist()}
    planned = planning.plan()
    ops = {r["audience"]: r for r in planned.filter(planned.person_id == person).to_pyarrow().to_pylist()}
    held = {r["audience"] for r in ledger.committed().to_pylist() if r["person_id"] == person and r["payload_hash"] is not None}
    sent = {r["audience"]: r for r in ledger.operations().to_pylist() if r["person_id"] == person}
    told = _told(planning, person)
    audiences = [a.segment for a in planning.audiences]
    rows = []
    for audience in [*audiences, *sorted((held | set(sent)) - set(audiences))]:
        if not (audience in mine or audience in held or audience in sent):
            continue
        op, last = ops.get(audience, {}), sent.get(audience, {})
        held_out = bool(mine.get(audience, {}).get("holdout"))
        rows.append(
            {
                "destination": node.name,
                "audience": audience,
                "member": audience in mine,
                "held_out": held_out,
                "held": audience in held,
                "planned": op.get("op"),
                "why": op.get("blocked") or op.get("cause") or ("held out, as a control group" if held_out else None),
                "last": last.get("state"),
                "reason": last.get("reason"),
                "told": told if audience in held or op.get("op") in ("add", "update") else {},
            }
        )
    return rows


def _told(planning: Planning, person: int) -> Mapping[str, Any]:
    private = set(planning.inputs.vault.columns) - set(planning.inputs.people.columns)
    payload = planning.payload
    rows = payload.table.filter(payload.table.person_id == person).to_pyarrow().to_pylist()
    fields = {name: field for name, field in planning.node.config.fields.items() if not reads(field) & private}
    return {name: rows[0][payload.columns[name]] for name in fields} if rows else {}


def drifted(graph: Graph, node: DestinationNode, size: int, context: Context) -> Drift | None:
    """What a sample of a destination's members is like there; None where the destination can't be asked.

    Raises:
        ConnectorError: it can, and does not answer.
    """
    if node.object is None or node.connector is None or not issubclass(node.connector, ReadsBack):
        return None
    planning = planning_now(graph, node)
    ledger = graph.ledger(node.name, planning.object.name)
    held = [r for r in ledger.committed().to_pylist() if r["payload_hash"] is not None]
    chosen = set(sample(sorted({r["person_id"] for r in held}), size, node.name))
    pending = set(planning.plan().select("person_id").distinct().to_pyarrow()["person_id"].to_pylist())
    vault, payload, key = planning.inputs.vault, planning.payload, planning.object.match_key
    known = vault.filter(vault.person_id.isin(list(chosen))).to_pyarrow().to_pylist()
    keys = {r["person_id"]: str(r[key]) for r in known if r[key] is not None}
    told = {r["person_id"]: r for r in payload.table.filter(payload.table.person_id.isin(list(chosen))).to_pyarrow().to_pylist()}
    members = [
        Member(r["audience"], keys[p], {name: told.get(p, {}).get(column) for name, column in payload.columns.items()})
        for r in held
        if (p := r["person_id"]) in chosen and p in keys and p not in pending
    ]
    destination = graph.destination(node.name)
    return drift(destination, planning.object.name, members, context) if isinstance(destination, ReadsBack) else None


def in_doubt(graph: Graph, node: DestinationNode) -> list[dict[str, Any]]:
    """Operations of which nobody knows whether they took effect."""
    if node.object is None:
        return []
    rows = graph.ledger(node.name, node.object.name).operations().to_pylist()
    return [{name: r[name] for name in ("op_id", "op", "audience", "person_id", "reason")} for r in rows if r["state"] == "in_doubt"]


def plan_counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a plan sends per operation, and what it blocks per reason."""
    sends = Counter(r["op"] for r in rows if r["blocked"] is None)
    blocked = Counter(r["blocked"] for r in rows if r["blocked"] is not None)
    urgent = sum(r["urgent"] and r["blocked"] is None for r in rows)
    return {**{op: sends[op] for op in ("add", "update", "remove")}, "urgent": urgent, "blocked": dict(sorted(blocked.items()))}
