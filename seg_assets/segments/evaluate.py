"""Who is in which segment at one instant, why, until when, and what changed since the evaluation before."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, cached_property

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from seg_assets.errors import SegmentError
from seg_assets.schema.tables import MEMBERSHIPS, SEGMENT_CHANGES
from seg_assets.schema.types import UTC
from seg_assets.segments.ast import Segment
from seg_assets.segments.compile import Atom, Facts, rules_of, scene_of
from seg_assets.segments.definitions import SegmentSet
from seg_assets.segments.health import health_table
from seg_assets.segments.judge import judge
from seg_assets.segments.scene import Cuts, left_joined, union
from seg_assets.segments.times import timestamp
from seg_assets.segments.workspace import Workspace, rows_table

ATOMS_PER_PASS = 1024
"""Segments are evaluated together up to so many atoms: the facts are a table of persons by atoms."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found. The tables are temporary ones on the inputs' connection, in the order of their primary keys.

    Args:
        memberships, changes, health: see `schema/tables/segments.py`.
        cuts: every data-driven bound with the value it stood for.
        errors: why segments are stale, by id.
    """

    memberships: ir.Table
    changes: ir.Table
    health: ir.Table
    cuts: Cuts
    errors: Mapping[str, str]
    _kept: Workspace = field(repr=False)

    def release(self) -> None:
        """Drops the temporary tables."""
        self._kept.release()


def evaluate(
    segments: SegmentSet,
    *,
    persons: ir.Table,
    events: ir.Table,
    consents: ir.Table | None,
    as_of: dt.datetime,
    previous: ir.Table | None = None,
    cuts: Cuts | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Evaluation:
    """Evaluates every segment for every person at `as_of`.

    A segment that can't be evaluated keeps its previous members and is marked stale; the others go on.

    Args:
        segments: the definitions; its broken ones are stale.
        persons: one row per person: person_id, attributes, features, scores.
        events: unified events with person_id; event_id is unique. Those after as_of are ignored.
        consents: PERSON_CONSENTS, or None where nobody allows anything.
        as_of: aware.
        previous: memberships of the evaluation before.
        cuts: known values of data-driven bounds, for replays.
        clock: seconds, for `cost_seconds`.

    Raises:
        SegmentError: as_of has no time zone.
    """
    if as_of.tzinfo is None:
        raise SegmentError("as_of has no time zone", hint="pass an aware datetime")
    with Workspace() as work:
        run = _Run(
            segments,
            _settled(persons, work),
            events,
            consents,
            as_of.astimezone(dt.UTC),
            _previous(previous, work),
            dict(cuts or {}),
            clock,
            work,
        )
        for names in passes(segments):
            run.evaluate(names)
        return run.result()


def passes(segments: SegmentSet) -> list[list[str]]:
    """Segments in the groups they are evaluated in."""
    groups: list[list[str]] = []
    atoms: set[Atom] = set()
    for name, rule in rules_of(segments).items():
        if not groups or len(atoms | set(rule.atoms)) > ATOMS_PER_PASS:
            groups.append([])
            atoms = set()
        groups[-1].append(name)
        atoms |= set(rule.atoms)
    return groups


def verdicts(
    segments: SegmentSet, *, persons: ir.Table, events: ir.Table, consents: ir.Table | None, as_of: dt.datetime, cuts: Cuts | None = None
) -> ir.Table:
    """The compiled expression alone, lazy: one row per person with a boolean per segment, no reasons.

    Args:
        segments, persons, events, consents, as_of, cuts: as for `evaluate`.
    """
    facts = Facts(rules_of(segments), scene_of(segments, persons, events, consents, as_of.astimezone(dt.UTC), given=cuts))
    table = facts.table()
    return table.select("person_id", **{name: facts.verdict(table, name) for name in facts.rules})


def _settled(table: ir.Table, work: Workspace) -> ir.Table:
    """A computed input, computed once; a stored one is read where it is."""
    return table if isinstance(table.op(), ops.PhysicalTable) else work.keep(table)


def _previous(previous: ir.Table | None, work: Workspace) -> ir.Table:
    if previous is None:
        return rows_table([], MEMBERSHIPS.schema)
    return work.keep(previous.select(*(previous[c.name].cast(c.dtype) for c in MEMBERSHIPS.columns)))


@dataclass
class _Run:
    """One evaluation at work."""

    segments: SegmentSet
    persons: ir.Table
    events: ir.Table
    consents: ir.Table | None
    as_of: dt.datetime
    previous: ir.Table
    cuts: dict
    clock: Callable[[], float]
    work: Workspace
    parts: dict[str, ir.Table] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    def evaluate(self, names: Sequence[str]) -> None:
        """Evaluates segments together; if that fails, in halves, so that only the failing ones are lost."""
        start = self.clock()
        try:
            parts = self._together(names)
        except Exception as error:
            if len(names) > 1:
                self.evaluate(names[: len(names) // 2])
                self.evaluate(names[len(names) // 2 :])
            else:
                # An engine's message may quote data, and data may be personal.
                self.errors[names[0]] = str(error) if isinstance(error, SegmentError) else f"the engine could not evaluate it: {type(error).__name__}"
            return
        self.parts |= parts
        self.costs |= dict.fromkeys(names, (self.clock() - start) / len(names))

    def _together(self, names: Sequence[str]) -> dict[str, ir.Table]:
        """Per segment, its members and those who were: person_id, member, was, since, valid_until (microseconds), reasons."""
        closure = self.segments.closure(names)
        scene = scene_of(closure, self.persons, self.events, self.consents, self.as_of, given=self.cuts, keep=self.work.keep)
        facts = Facts(rules_of(closure), scene, self.work.keep)
        table = self.work.keep(facts.table())
        members = self.work.keep(table.select("person_id", **{name: facts.verdict(table, name) for name in names}))
        concerned = {name: self._concerned(members, name) for name in names}
        self.cuts |= scene.cuts
        return judge(facts, table, concerned, self.work)

    def _concerned(self, members: ir.Table, name: str) -> ir.Table:
        """Members now or before: person_id, member, was, since."""
        rows = members.select("person_id", member=members[name])
        if name not in self.hashes_before:
            return rows.filter(rows.member).mutate(was=ibis.literal(False), since=ibis.null(UTC))
        before = self.previous.filter(self.previous.segment == name).select("person_id", "since", was=ibis.literal(True))
        rows = left_joined(rows, before)
        rows = rows.mutate(was=rows.was.fill_null(False)).select("person_id", "member", "was", "since")
        return rows.filter(rows.member | rows.was)

    def result(self) -> Evaluation:
        kept = Workspace()
        errors = self.errors | {name: error.message for name, error in self.segments.broken.items()}
        stale = self.previous.filter(self.previous.segment.isin(list(errors))) if errors else None
        hashes = self.segments.hashes
        now = ibis.literal(self.as_of, type=UTC)
        members, changes = [stale] if stale is not None else [], [self._gone(errors, now)]
        for name, rows in self.parts.items():
            identity = {"segment": ibis.literal(name), "definition_hash": ibis.literal(hashes[name])}
            members.append(_shaped(_members(self.segments[name], rows.filter(rows.member), identity, now), MEMBERSHIPS.schema))
            moved = rows.filter(rows.member != rows.was)
            cause = ibis.literal("definition" if self._edited(name, hashes[name]) else "data")
            change = moved.member.ifelse("entered", "left")
            changes.append(_shaped(moved.mutate(change=change, as_of=now, cause=cause, reason=moved.reasons, **identity), _change_schema()))
        memberships = kept.keep(union(members or [self.previous.limit(0)])).order_by("segment", "person_id")
        log = kept.keep(union(changes)).order_by("segment", "person_id")
        health = health_table(
            self.segments, memberships, log, self.persons.count(), errors=errors, costs=self.costs, cuts=self.cuts, as_of=self.as_of
        )
        return Evaluation(memberships, log, health, dict(self.cuts), errors, kept)

    def _edited(self, name: str, now: str) -> bool:
        """Whether the members before were decided by another definition."""
        return self.hashes_before.get(name, now) != now

    @cached_property
    def hashes_before(self) -> dict[str, str]:
        pairs = self.previous.select("segment", "definition_hash").distinct().to_pyarrow().to_pylist()
        return {row["segment"]: row["definition_hash"] for row in pairs}

    def _gone(self, errors: Mapping[str, str], now: ir.TimestampScalar) -> ir.Table:
        """Memberships that ended because the segment, or the person, is no more."""
        before = self.previous.filter(~self.previous.segment.isin([*errors, *self.parts])) if self.parts or errors else self.previous
        orphans = self.previous.filter(self.previous.segment.isin(list(self.parts) or [""])).anti_join(self.persons, "person_id")
        rows = union([before.mutate(cause=ibis.literal("segment_removed")), orphans.mutate(cause=ibis.literal("person_removed"))])
        return _shaped(rows.mutate(change=ibis.literal("left"), as_of=now, reason=ibis.null("string")), _change_schema())


def _members(segment: Segment, rows: ir.Table, identity: Mapping[str, ir.Value], now: ir.TimestampScalar) -> ir.Table:
    since = rows.was.ifelse(rows.since, now)
    return rows.mutate(since=since, valid_until=timestamp(rows.valid_until), holdout=in_holdout(segment, rows.person_id), **identity)


@cache
def _change_schema() -> ibis.Schema:
    """Of changes, before the number of the evaluation is known. Made when it is needed: Ibis's parser of types takes 0.1 s to load."""
    return ibis.schema({column.name: column.dtype for column in SEGMENT_CHANGES.columns if column.name != "evaluation"})


def _shaped(rows: ir.Table, schema: ibis.Schema) -> ir.Table:
    return rows.select(**{name: rows[name].cast(dtype) for name, dtype in schema.items()})


def in_holdout(segment: Segment, person_id: ir.IntegerValue) -> ir.BooleanValue:
    """Whether a person is kept back: the same for ever, as it hangs on the segment's id and the person's alone.

    The MD5 digest of `<segment>:<person_id>`, as a fraction of the digests there are, is below the segment's holdout.
    """
    if not segment.holdout:
        return ibis.literal(False)
    digest = (ibis.literal(f"{segment.id}:") + person_id.cast("string")).hexdigest("md5")
    bound = math.floor(segment.holdout * Decimal(16**16))
    return ibis.literal(True) if bound >= 16**16 else digest.substr(0, 16) < f"{bound:016x}"
