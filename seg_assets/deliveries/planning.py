"""What the activation assets and `seg activate` share: a destination's plan from the tables of the lake and its ledger. No Dagster, nothing is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from connectors.types import ObjectDef, Verdict
from seg_assets.activation import Audience, Target, plan
from seg_assets.activation.mapping import Rendered, failing, reads, rendered
from seg_assets.activation.personalisation import personalised
from seg_assets.activation.plan import address, address_in
from seg_assets.errors import MappingError, ProjectError, SegError
from seg_assets.graph import DestinationNode, Graph
from seg_assets.identity import with_person
from seg_assets.lake.functions import keyed_hash
from seg_assets.profiles.consents import person_consents
from seg_assets.profiles.profiles import everything_known
from seg_assets.project.destinations import Limit
from seg_assets.project.values import format_duration
from seg_assets.schema.tables import ASSIGNMENTS, CONSENTS, ENGAGEMENT, FEATURES, LINKS, MEMBERSHIPS, PERSONAS, PROFILES, RFM, SEGMENT_HEALTH, VAULT
from seg_assets.segments import SegmentSet

RESYNC = "+resync"
KNOWN = {"profiles": PROFILES, "features": FEATURES, "engagement": ENGAGEMENT, "rfm": RFM, "assignments": ASSIGNMENTS, "personas": PERSONAS}


@dataclass(frozen=True)
class Inputs:
    """Tables a plan is made from.

    Args:
        memberships, health, consents, vault: as in the lake.
        people: what is known of each person, without direct identifiers.
    """

    memberships: ir.Table
    health: ir.Table
    consents: ir.Table
    vault: ir.Table
    people: ir.Table

    @classmethod
    def of(cls, *, memberships: ir.Table, health: ir.Table, consents: ir.Table, vault: ir.Table, **known: ir.Table) -> Inputs:
        """From the tables as they are stored."""
        channel = known["assignments"].join(known["personas"], "cluster_id").select("person_id", persona_channel="preferred_channel")
        people = everything_known(**known).left_join(channel, "person_id").drop("person_id_right")
        return cls(memberships, health, consents, vault, personalised(people, consents))

    @classmethod
    def newest(cls, graph: Graph, as_of: datetime) -> Inputs:
        """From the lake as it is now; consents as they were stated last, whether or not the graph was refreshed since."""
        read = graph.lake.read
        consents = person_consents(with_person(read(CONSENTS.key), read(LINKS.key), graph.project.pseudonym_key), as_of).cache()
        known = {name: read(table.key) for name, table in KNOWN.items()}
        return cls.of(memberships=read(MEMBERSHIPS.key), health=read(SEGMENT_HEALTH.key), consents=consents, vault=read(VAULT.key), **known)


@dataclass(frozen=True)
class Planning:
    """One destination's plan in the making.

    Args:
        graph, node: the project, and the destination.
        inputs: what the plan is made from.
        as_of: instant of the run.
    """

    graph: Graph
    node: DestinationNode
    inputs: Inputs
    as_of: datetime

    @property
    def object(self) -> ObjectDef:
        """What is delivered to.

        Raises:
            ProjectError: the destination can't be used.
        """
        if self.node.object is None:
            raise ProjectError(f"destination {self.node.name} can't be used: {self.node.error}", place=self._place())
        return self.node.object

    @cached_property
    def payload(self) -> Rendered:
        """What the destination is told about each person, in clear. Never keep it."""
        return rendered(self._everything, self.node.config.fields, self.inputs.memberships)

    @cached_property
    def people(self) -> ir.Table:
        """What this destination needs of `inputs.people`. Kept, because putting these joins into words once per use takes seconds."""
        hours = self.node.config.quiet_hours
        needed = self._read | ({hours.timezone} if hours and hours.timezone else set())
        return self.inputs.people.select("person_id", *sorted(needed & set(self.inputs.people.columns) - {"person_id"})).cache()

    @property
    def _everything(self) -> ir.Table:
        return self.people.left_join(self.inputs.vault.select("person_id", *self._clear), "person_id").drop("person_id_right")

    @cached_property
    def target(self) -> Target:
        config = self.node.config
        return Target(
            destination=self.node.name,
            object=self.object.name,
            match_key=self.object.match_key,
            fields=self.payload.columns,
            max_remove=config.max_remove,
            max_remove_count=config.max_remove_count,
            stale=self._stale(),
            skip=frozenset(name for name, field in config.fields.items() if field.empty == "skip"),
            create="create" in config.sync,
            update="update" in config.sync,
            on_leave=config.leaving,
            exclusive=config.exclusive,
            suppress=tuple(config.suppress),
            caps={reason: limit.most for reason, (limit, _) in self._limits.items()},
        )

    def plan(self, *, resync: bool = False) -> ir.Table:
        """Columns of `schema.tables.PLAN`; see `activation.plan`.

        Raises:
            MappingError: a field can't be computed; it names the field and quotes no value.
        """
        import duckdb

        try:
            return self._plan(resync=resync)
        except duckdb.Error:
            wrong = failing(self._everything, self.node.config.fields, self.inputs.memberships)
            if not wrong:
                raise
        place = self.graph.project.place("destinations", self.node.name, "fields", wrong[0])
        raise MappingError(f"the field {wrong[0]!r} fails on some person's values", place=place, hint="try_cast(... as ...) gives no value instead")

    def _plan(self, *, resync: bool) -> ir.Table:
        from seg_assets.activation.ledger import connector_version

        hashed = keyed_hash(self.graph.project.pseudonym_key)
        payload = self.payload.table
        private = [self.payload.columns[name] for name, field in self.node.config.fields.items() if reads(field) & set(self._clear)]
        ledger = self.graph.ledger(self.target.destination, self.target.object)
        segments = self.segments
        version = connector_version(self.node.connector) if self.node.connector else ""
        committed, unsettled = ibis.memtable(ledger.committed()), ibis.memtable(ledger.unsettled())
        if segments.errors:  # an audience whose definition can't be read stays as the destination holds it
            committed, unsettled = (rows.filter(rows.audience.isin(list(segments.segments))) for rows in (committed, unsettled))
        return plan(
            self.target,
            self.audiences,
            memberships=self.inputs.memberships,
            people=payload.mutate(**{c: hashed(payload[c].cast("string")) for c in private}) if private else payload,
            reach=self._reach,
            consents=self.inputs.consents,
            committed=committed,
            unsettled=unsettled,
            rejected=ibis.memtable(ledger.rejected(version)),
            added={reason: self._added(limit, everywhere) for reason, (limit, everywhere) in self._limits.items()},
            former=self.former,
            resync=resync,
        )

    @cached_property
    def former(self) -> ir.Table | None:
        """person_id, reach_hash, key: what persons are delivered under that is not their match key any more, from earlier versions of the vault. In clear:
        never keep it. None: nobody is."""
        match_key, lake = self.target.match_key, self.graph.lake
        if match_key == "person_id" or not lake.exists(VAULT.key):
            return None
        held = ibis.memtable(self.graph.ledger(self.target.destination, self.target.object).committed())
        under = held.select("person_id", at=address_in(held.payload_hash)).filter(ibis._.at != "").distinct()
        now = self._reach.select("person_id", at=address(self._reach.reach_hash))
        missing, parts = under.anti_join(now, ["person_id", "at"]).cache(), list[pa.Table]()
        for version in reversed(range(lake.commit(VAULT.key).version)):
            if not missing.count().execute():
                break
            rows = _hashed_keys(lake.read(VAULT.key, version=version), match_key, self.graph.project.pseudonym_key)
            found = rows.mutate(at=address(rows.reach_hash)).semi_join(missing, ["person_id", "at"]).cache()
            parts.append(found.select("person_id", "reach_hash", "key").to_pyarrow())
            missing = missing.anti_join(found, ["person_id", "at"]).cache()
        rows = pa.concat_tables(parts) if parts else None
        return ibis.memtable(rows) if rows else None

    @cached_property
    def _reach(self) -> ir.Table:
        key = self.target.match_key
        known = _hashed_keys(self.people if key == "person_id" else self.inputs.vault, key, self.graph.project.pseudonym_key)
        return known.select("person_id", "reach_hash").cache()

    @cached_property
    def segments(self) -> SegmentSet:
        """The project's segments.

        Raises:
            ProjectError: the destination's suppression names a segment that there is not, or that can't be read: nobody is delivered then.
        """
        segments = self.graph.segments()
        chosen = {rule.segment for field in self.node.config.fields.values() for rule in field.choose if rule.segment}
        for name in sorted({*self.node.config.suppress, *chosen}):
            if name in segments.broken or name not in segments.segments:
                what = "can't be read" if name in segments.broken else "does not exist"
                raise ProjectError(f"destination {self.node.name} relies on the segment {name!r}, which {what}", place=self._place())
        return segments

    @property
    def audiences(self) -> list[Audience]:
        """Segments to deliver, in order of priority."""
        segments, config, health = self.segments, self.node.config, self.inputs.health
        small = {row["segment"] for row in health.filter(health.below_minimum).select("segment").to_pyarrow().to_pylist()}
        wanted = list(segments.segments) if config.audiences == "all" else [n for n in config.audiences if n not in segments.broken]
        return [Audience(name, tuple(dict.fromkeys([*segments[name].needs, *config.needs])), name in small) for name in wanted]

    @cached_property
    def _clear(self) -> list[str]:
        """Columns of the vault that the fields read."""
        return sorted(self._read & set(self.inputs.vault.columns) - set(self.inputs.people.columns))

    @cached_property
    def _read(self) -> frozenset[str]:
        return frozenset().union(*(reads(field) for field in self.node.config.fields.values()))

    @property
    def _limits(self) -> Mapping[str, tuple[Limit, bool]]:
        """Limits on additions by the reason further ones are put off with, and whether they count those at all destinations."""
        found = {}
        if cap := self.node.config.cap:
            found[f"cap: {cap.most} additions in {format_duration(cap.within)}"] = (cap, False)
        if pressure := self.graph.project.config.pressure:
            found[f"pressure: {pressure.most} additions in {format_duration(pressure.within)} at all destinations"] = (pressure, True)
        return found

    def _added(self, limit: Limit, everywhere: bool) -> ir.Table:
        """person_id, n: additions acknowledged within the limit's time."""
        nodes = [n for n in self.graph.destinations if n.object and (everywhere or n.name == self.node.name)]
        parts = [self.graph.ledger(n.name, n.object.name).operations() for n in nodes if n.object]
        rows = ibis.memtable(pa.concat_tables(parts))
        at = rows.as_of.cast('timestamp("UTC", 6)')
        counting = rows.filter(rows["op"] == "add", rows.state == Verdict.ACKED.value, at > ibis.literal(self.as_of - limit.within))
        return counting.group_by("person_id").aggregate(n=counting.count())

    def _stale(self) -> str | None:
        """Why the memberships are too old to remove anybody by, if they are."""
        known = self.graph.lake.facts(MEMBERSHIPS.key).get("as_of") if self.graph.lake.exists(MEMBERSHIPS.key) else None
        age = self.as_of - datetime.fromisoformat(str(known)) if known else timedelta(0)
        return f"the memberships are of {known}, older than {format_duration(self.node.config.max_age)}" if age > self.node.config.max_age else None

    def _place(self):  # type: ignore[no-untyped-def]
        return self.graph.project.place("destinations", self.node.name)


def _hashed_keys(rows: ir.Table, match_key: str, secret: bytes) -> ir.Table:
    """person_id, key, reach_hash of those who have one."""
    key = rows[match_key].cast("string")
    return rows.filter(key.notnull()).select("person_id", key=key, reach_hash=keyed_hash(secret)(key))


@dataclass(frozen=True)
class PlanId:
    """What names a plan: a destination, a digest of what is sent and blocked, and whether everybody is sent again. Written `hubspot@3f2a9c01b7de`."""

    destination: str
    digest: str
    resync: bool = False

    def __str__(self) -> str:
        return f"{self.destination}@{self.digest}{RESYNC if self.resync else ''}"

    @classmethod
    def parse(cls, text: str) -> PlanId:
        """The id a text stands for.

        Raises:
            SegError: it is none.
        """
        destination, at, rest = text.partition("@")
        if not at or not destination or not rest:
            raise SegError(f"{text!r} is not the id of a plan", hint="`seg activate plan` prints it; it looks like hubspot@3f2a9c01b7de")
        return cls(destination, rest.removesuffix(RESYNC), rest.endswith(RESYNC))


def digest(planned: ir.Table) -> str:
    """Twelve characters that stand for what a plan does and blocks: equal for equal plans, whatever the order of their rows."""
    rows = planned.order_by("op_id").select("op_id", "blocked", "leave").to_pyarrow()
    new = hashlib.blake2b(digest_size=6)
    for column in rows.columns:
        new.update("\x1f".join("" if v is None else v for v in column.to_pylist()).encode() + b"\x1e")
    return new.hexdigest()
