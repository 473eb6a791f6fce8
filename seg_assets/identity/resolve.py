"""Deterministic identity: identifiers seen together belong to one person; persons keep their id across refreshes.

Finds connected components of identifiers (SciPy) and gives each a person id. Choosing surviving values is in `survivorship.py`.
"""

from __future__ import annotations

import itertools
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
    linking, ignored = _linking(sightings, rules)
    edges = _edges(linking, nodes)
    labels, oversized = _components(nodes, edges, rules)
    named = nodes.join(labels, "node").select("identifier_type", "identifier", "component")
    pseudonym = keyed_hash(key)
    hashed = named.identifier_type.isin(SECRET_TYPES).ifelse(pseudonym(named.identifier), named.identifier)
    first = (named.identifier_type.cases(*((t, str(i)) for t, i in STRENGTH.items())) + named.identifier).min()
    persons = named.group_by("component").aggregate(first=first).cache()
    links = named.mutate(identifier=hashed).cache()
    ids = _stable_ids(links, persons, previous, pseudonym)
    result = links.join(ids, "component").select("identifier_type", "identifier", "person_id")
    return Identity(result.cast(dict(LINKS.schema)), ignored, oversized)


def _sightings(records: ir.Table) -> ir.Table:
    return records.select(*STRENGTH).distinct()


def _nodes(sightings: ir.Table) -> ir.Table:
    """Every identifier once: identifier_type, identifier."""
    each = [sightings.filter(sightings[t].notnull()).select(identifier_type=ibis.literal(t), identifier=sightings[t]).distinct() for t in STRENGTH]
    return ibis.union(*each)


def _linking(sightings: ir.Table, rules: IdentityRules) -> tuple[ir.Table, int]:
    """Sightings without the identifiers that too many user ids share, and how many of those there are."""
    others = [t for t in STRENGTH if t != "user_id"]
    owned = ibis.union(*(sightings.select("user_id", type=ibis.literal(t), identifier=sightings[t]).drop_null().distinct() for t in others))
    owners = owned.group_by("type", "identifier").aggregate(n=ibis._.count())
    shared = owners.filter(owners.n > rules.max_persons_per_identifier).select("type", "identifier").cache()
    ignored = shared.count().to_pyarrow().as_py()
    if not ignored:
        return sightings, 0
    for t in others:
        joined = sightings.left_join(shared.filter(shared.type == t).select(shared="identifier"), [(t, "shared")])
        sightings = joined.mutate(**{t: joined.shared.isnull().ifelse(joined[t], ibis.null("string"))}).drop("shared")
    return sightings.distinct(), ignored


def _edges(sightings: ir.Table, nodes: ir.Table) -> pa.Table:
    """Pairs of nodes seen in one row: columns a, b, strong (one of them is a user id).

    The strongest identifier of a row is connected to each further one; that connects them all.
    """
    strongest = ibis.cases(*((sightings[t].notnull(), t) for t in STRENGTH))
    rows = sightings.mutate(one_type=strongest, one=ibis.coalesce(*(sightings[t] for t in STRENGTH)))
    further = [rows.filter(rows[t].notnull(), rows.one_type != t).select("one_type", "one", type=ibis.literal(t), other=rows[t]) for t in STRENGTH]
    pairs = ibis.union(*further, distinct=True)
    a = nodes.select(one_type="identifier_type", one="identifier", a="node")
    b = nodes.select(type="identifier_type", other="identifier", b="node")
    joined = pairs.join(a, ["one_type", "one"]).join(b, ["type", "other"])
    return joined.select("a", "b", strong=joined.one_type == "user_id").to_pyarrow()


def _components(nodes: ir.Table, edges: pa.Table, rules: IdentityRules) -> tuple[ir.Table, int]:
    """Component of every node (columns node, component), and how many were too large and rebuilt from strong edges."""
    import numpy as np

    n = nodes.count().to_pyarrow().as_py()
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


def _stable_ids(links: ir.Table, persons: ir.Table, previous: ir.Table | None, pseudonym: Callable[[ir.StringValue], ir.StringValue]) -> ir.Table:
    """Person id of each component (columns component, person_id), one id for one component.

    An id stays with the largest part of its person; a component that is the largest part of several persons keeps the id most of it had. Others get
    a new one.
    """
    if previous is None:
        return persons.select("component", person_id=_new_id(persons["first"], 0, pseudonym))
    before = previous.select("identifier_type", "identifier", previous_id="person_id")
    shares = links.join(before, ["identifier_type", "identifier"]).group_by("component", "previous_id").aggregate(n=ibis._.count())
    shares = shares.join(persons, "component")
    part = ibis.row_number().over(group_by=shares.previous_id, order_by=[shares.n.desc(), shares["first"]])
    largest = shares.mutate(part=part).filter(ibis._.part == 0)
    heir = ibis.row_number().over(group_by=largest.component, order_by=[largest.n.desc(), largest.previous_id])
    kept = largest.mutate(heir=heir).filter(ibis._.heir == 0).select("component", person_id="previous_id").cache()
    unnamed, taken = persons.anti_join(kept, "component"), previous.select("person_id").distinct()
    named = [kept]
    for attempt in itertools.count():
        # The id a part would get by its first identifier may belong to the person it was split from.
        ids = unnamed.mutate(person_id=_new_id(unnamed["first"], attempt, pseudonym)).cache()
        named.append(ids.anti_join(taken, "person_id").select("component", "person_id"))
        unnamed = ids.semi_join(taken, "person_id").select("component", "first").cache()
        if not unnamed.count().to_pyarrow().as_py():
            break
    return ibis.union(*named)


def _new_id(first: ir.StringValue, attempt: int, pseudonym: Callable[[ir.StringValue], ir.StringValue]) -> ir.IntegerValue:
    """A person id from the person's first identifier: the first 15 hexadecimal digits of a keyed hash as a positive integer of 60 bits."""
    hexadecimal = pseudonym(ibis.literal(f"person:{attempt}:") + first)
    return (ibis.literal("0x") + hexadecimal.substr(0, 15)).cast("int64")
