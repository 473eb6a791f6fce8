"""Deterministic identity: identifiers seen together belong to one person; persons keep their id across refreshes.

Finds connected components of identifiers (SciPy) and gives each a person id. Choosing surviving values is in `survivorship.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seg_assets.lake.functions import keyed_hash
from seg_assets.schema.tables import IDENTIFIERS, LINKS

STRENGTH = {c.name: i for i, c in enumerate(IDENTIFIERS)}
"""Identifier types, strongest first: a person's id is derived from the strongest, first identifier."""

SECRET_TYPES = ("email", "phone")
"""Types that are stored as keyed hashes only."""


@dataclass(frozen=True)
class IdentityRules:
    """Guards against false merges.

    Args:
        max_persons_per_identifier: an identifier seen with more user ids than this links nobody.
        max_identifiers: a person with more identifiers than this is rebuilt from links through user ids only.
    """

    max_persons_per_identifier: int = 5
    max_identifiers: int = 100


@dataclass(frozen=True)
class Identity:
    """Result of a resolution.

    Args:
        links: columns of `schema.tables.LINKS`.
        ignored: how many identifiers linked nobody because too many user ids share them.
        oversized: how many persons had too many identifiers and were rebuilt.
    """

    links: ir.Table
    ignored: int
    oversized: int


def resolve(records: Sequence[ir.Table], key: bytes, rules: IdentityRules, previous: ir.Table | None) -> Identity:
    """Links every identifier to a person.

    Args:
        records: tables with the columns of `IDENTIFIERS`; identifiers in one row belong together.
        key: secret of the hashes that stand for e-mail addresses and phone numbers, and of person ids.
        rules: guards.
        previous: links of the refresh before, whose person ids are kept; None at first.

    Returns:
        Links; equal for equal records, whatever their order.
    """
    sightings = ibis.union(*(_sightings(r) for r in records), distinct=True).cache()
    nodes = _nodes(sightings).mutate(node=ibis.row_number()).cache()
    edges, ignored = _edges(sightings, nodes, rules)
    labels, oversized = _components(nodes, edges, rules)
    named = nodes.join(labels, "node").select("identifier_type", "identifier", "component")
    pseudonym = keyed_hash(key)
    hashed = named.identifier_type.isin(SECRET_TYPES).ifelse(pseudonym(named.identifier), named.identifier)
    first = (named.identifier_type.cases(*((t, str(i)) for t, i in STRENGTH.items())) + named.identifier).min()
    persons = named.group_by("component").aggregate(first=first)
    persons = persons.mutate(new_id=_as_int(pseudonym(ibis.literal("person:") + persons.first))).cache()
    links = named.mutate(identifier=hashed).cache()
    ids = _stable_ids(links, persons, previous, pseudonym)
    result = links.join(ids, "component").select("identifier_type", "identifier", "person_id")
    return Identity(result.cast(dict(LINKS.schema)), ignored, oversized)


def _sightings(records: ir.Table) -> ir.Table:
    return records.select(*STRENGTH).distinct()


def _nodes(sightings: ir.Table) -> ir.Table:
    """Every identifier once: identifier_type, identifier."""
    each = [
        sightings.filter(sightings[t].notnull()).select(identifier_type=ibis.literal(t), identifier=sightings[t]).distinct() for t in STRENGTH
    ]
    return ibis.union(*each)


def _edges(sightings: ir.Table, nodes: ir.Table, rules: IdentityRules) -> tuple[pa.Table, int]:
    """Pairs of nodes seen in one row (columns a, b, strong), and how many identifiers were ignored as shared by too many."""
    types = list(STRENGTH)
    pairs = []
    for i, one in enumerate(types):
        for other in types[i + 1 :]:
            # The strongest identifier of a row is connected to each further one; that connects them all.
            earlier = [sightings[t].isnull() for t in types[:i]]
            both = sightings.filter(sightings[one].notnull(), sightings[other].notnull(), *earlier)
            pairs.append(
                both.select(
                    one_type=ibis.literal(one), one=both[one], other_type=ibis.literal(other), other=both[other], strong=ibis.literal(one == "user_id")
                )
            )
    all_pairs = ibis.union(*pairs).distinct()
    owners = all_pairs.filter(all_pairs.one_type == "user_id").group_by("other_type", "other").aggregate(n=ibis._.count())
    shared = owners.filter(owners.n > rules.max_persons_per_identifier).cache()
    kept = all_pairs.anti_join(shared, ["other_type", "other"])
    kept = kept.anti_join(shared, [("one_type", "other_type"), ("one", "other")])
    a, b = nodes.select(one_type="identifier_type", one="identifier", a="node"), nodes.select(other_type="identifier_type", other="identifier", b="node")
    edges = kept.join(a, ["one_type", "one"]).join(b, ["other_type", "other"]).select("a", "b", "strong")
    return edges.to_pyarrow(), int(shared.count().execute())


def _components(nodes: ir.Table, edges: pa.Table, rules: IdentityRules) -> tuple[ir.Table, int]:
    """Component of every node (columns node, component), and how many were too large and rebuilt from strong edges."""
    import numpy as np

    n = int(nodes.count().execute())
    a, b = edges["a"].to_numpy(), edges["b"].to_numpy()
    component = _connected(n, a, b)
    sizes = np.bincount(component, minlength=1)
    oversized = sizes > rules.max_identifiers
    if oversized.any():
        strong = edges["strong"].to_numpy(zero_copy_only=False) | ~oversized[component[a]]
        component = _connected(n, a[strong], b[strong])
    table = pa.table({"node": np.arange(n, dtype=np.int64), "component": component.astype(np.int64)})
    return ibis.memtable(table), int(oversized.sum())


def _connected(n: int, a, b):  # type: ignore[no-untyped-def]
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if n == 0:
        return np.zeros(0, dtype=np.int32)
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(n, n)).tocsr()
    return connected_components(graph, directed=False)[1]


def _as_int(hexadecimal: ir.StringValue) -> ir.IntegerValue:
    """The first 15 hexadecimal digits as a positive integer: 60 bits."""
    return (ibis.literal("0x") + hexadecimal.substr(0, 15)).cast("int64")


def _stable_ids(links: ir.Table, persons: ir.Table, previous: ir.Table | None, pseudonym: Callable[[ir.StringValue], ir.StringValue]) -> ir.Table:
    """Person id of each component: the one most of its identifiers had before, when that person's largest part is this component; else a new one."""
    if previous is None:
        return persons.select("component", person_id=persons.new_id)
    before = previous.select("identifier_type", "identifier", previous_id="person_id")
    shares = links.join(before, ["identifier_type", "identifier"]).group_by("component", "previous_id").aggregate(n=ibis._.count())
    shares = shares.join(persons.select("component", "first"), "component")
    heir = ibis.row_number().over(group_by=shares.component, order_by=[shares.n.desc(), shares.previous_id])
    part = ibis.row_number().over(group_by=shares.previous_id, order_by=[shares.n.desc(), shares["first"]])
    ranked = shares.mutate(heir=heir, part=part)
    kept = ranked.filter((ranked.heir == 0) & (ranked.part == 0)).select("component", "previous_id")
    joined = persons.left_join(kept, "component").select("component", "first", "new_id", "previous_id")
    taken = previous.select(new_id="person_id").distinct().mutate(taken=True)
    joined = joined.left_join(taken, "new_id").select("component", "first", "new_id", "previous_id", "taken")
    # The id a part would get by its first identifier may belong to the person it was split from.
    fresh = joined.taken.fill_null(False).ifelse(_as_int(pseudonym(ibis.literal("split:") + joined["first"])), joined.new_id)
    return joined.select("component", person_id=ibis.coalesce(joined.previous_id, fresh))
