"""A plan of a few people, written as rows; what a test does not speak of is absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ibis
import pyarrow as pa

from seg_assets.activation import Audience, Target, plan
from seg_assets.activation.ledger import COMMITTED_SCHEMA, REJECTED_SCHEMA, UNSETTLED_SCHEMA
from seg_assets.lake import Engine

ENGINE = Engine()
NAMES = {"ann": 1, "ben": 2, "cat": 3, "dan": 4}
WHO = {number: name for name, number in NAMES.items()}


def table(columns: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> ibis.Table:
    """A table from rows; types are Arrow's."""
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    return ENGINE.from_arrow(pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema))


class Case:
    """Who is in which segment, what is known of them, and what the destination holds.

    Args:
        members: (person, segment), or (person, segment, True) for those held out.
        allowed: (person, purpose).
        tier: person to the one field that is told.
        address: person to the address they are reached by; default their name.
    """

    def __init__(self, *members: tuple[Any, ...], allowed: Iterable[tuple[str, str]] = (), tier: Mapping[str, str | None] | None = None) -> None:
        self.members, self.allowed = list(members), list(allowed)
        self.tier: Mapping[str, str | None] = dict(tier or {})
        self.address: dict[str, str | None] = {name: name for name in NAMES}
        self.known = list(NAMES)
        self.held: dict[tuple[int, str], tuple[str | None, int]] = {}
        self.rejected: list[str] = []

    def plan(
        self, audiences: Iterable[str | Audience] = ("vip",), added: Mapping[str, Mapping[str, int]] | None = None, **target: Any
    ) -> list[dict[str, Any]]:
        """The plan's rows by person and audience, with the person's name as `who`."""
        resync = target.pop("resync", False)
        rows = plan(
            Target("crm", "members", "email", **{"fields": {"tier": "tier"}, **target}),
            [a if isinstance(a, Audience) else Audience(a) for a in audiences],
            memberships=table(
                {"person_id": "int64", "segment": "string", "holdout": "bool"}, [(NAMES[m[0]], m[1], len(m) > 2) for m in self.members]
            ),
            people=table({"person_id": "int64", "tier": "string"}, [(NAMES[name], self.tier.get(name)) for name in self.known]),
            reach=table({"person_id": "int64", "reach_hash": "string"}, [(NAMES[n], a) for n, a in self.address.items() if a]),
            consents=table(
                {"person_id": "int64", "purpose": "string", "granted": "bool"}, [(NAMES[n], purpose, True) for n, purpose in self.allowed]
            ),
            committed=ENGINE.from_arrow(
                pa.Table.from_pylist(
                    [{"person_id": p, "audience": a, "payload_hash": h, "generation": g} for (p, a), (h, g) in self.held.items()], COMMITTED_SCHEMA
                )
            ),
            unsettled=ENGINE.from_arrow(UNSETTLED_SCHEMA.empty_table()),
            rejected=ENGINE.from_arrow(pa.Table.from_pylist([{"op_id": one} for one in self.rejected], REJECTED_SCHEMA)),
            added={
                reason: table({"person_id": "int64", "n": "int64"}, [(NAMES[n], k) for n, k in counts.items()])
                for reason, counts in (added or {}).items()
            },
            resync=resync,
        )
        found = ENGINE.connection.to_pyarrow(rows).to_pylist()
        return sorted(({**row, "who": WHO[row["person_id"]]} for row in found), key=lambda r: (r["who"], r["audience"]))

    def does(self, *args: Any, **kwargs: Any) -> list[tuple[str, str, str]]:
        """What the plan sends: (op, who, audience)."""
        return [(row["op"], row["who"], row["audience"]) for row in self.plan(*args, **kwargs) if row["blocked"] is None]

    def why_not(self, *args: Any, **kwargs: Any) -> dict[tuple[str, str], str]:
        """What the plan blocks: (who, audience) to the reason."""
        return {(row["who"], row["audience"]): row["blocked"] for row in self.plan(*args, **kwargs) if row["blocked"] is not None}

    def deliver(self, *args: Any, **kwargs: Any) -> Case:
        """As if the destination had acknowledged the plan."""
        for row in self.plan(*args, **kwargs):
            if row["blocked"] is None:
                self.held[row["person_id"], row["audience"]] = (None if row["op"] == "remove" else row["payload_hash"], row["generation"])
        return self
