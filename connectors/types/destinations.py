"""Operations, outcomes, the `Destination` protocol and what a destination may be able to do besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

from connectors.types.context import Context
from connectors.types.meta import Config, ConnectorMeta


class OpKind(StrEnum):
    """What an operation does at the destination."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True)
class Operation:
    """One change to make at a destination.

    Args:
        op_id: deterministic id; the same intent has the same id across crashes and processes.
        kind: add, update or remove.
        audience: the segment's id.
        key: the match key's value at the destination (personal data: never log it).
        fields: what the destination shall hold for this person; empty for removals.
    """

    op_id: str
    kind: OpKind
    audience: str
    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Verdict(StrEnum):
    """What became of an operation."""

    ACKED = "acked"
    REJECTED = "rejected"
    RETRY = "retry"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True)
class Outcome:
    """The destination's answer to one operation.

    Args:
        verdict: what became of it.
        reason: why; safe to store: no personal data, no body.
        not_before: for RETRY: the instant before which sending again is useless (UTC), if the destination named one.
    """

    verdict: Verdict
    reason: str = ""
    not_before: datetime | None = None


ACKED = Outcome(Verdict.ACKED)
IN_DOUBT = Outcome(Verdict.IN_DOUBT, "the answer does not say what became of this operation")


class Idempotency(StrEnum):
    """What sending the same operation again does."""

    ABSOLUTE = "A"
    """Nothing: it states how things shall be (an upsert, membership of a set)."""
    DEDUPLICATED = "B"
    """Nothing: the destination knows it by its id."""
    READ_BACK = "C"
    """It may double, but whether it took effect can be read back."""
    APPEND = "D"
    """It doubles, and nobody can tell."""

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again when nobody knows if it took effect."""
        return self in {Idempotency.ABSOLUTE, Idempotency.DEDUPLICATED}


class Granularity(StrEnum):
    """What a destination says about a batch it took."""

    ROW = "row"
    """What became of each operation."""
    FAILURES = "failures"
    """Which operations failed; the others succeeded."""
    BATCH = "batch"
    """All or none."""
    COUNTS = "counts"
    """How many succeeded, and not which."""


@dataclass(frozen=True)
class ObjectDef:
    """Something a destination can hold members or fields for.

    Args:
        name: stable, lower-case; becomes `activation/<destination>/<name>/...`.
        match_key: which identifier members are matched by: "email", "phone", "user_id" or "person_id".
        max_batch: operations per call of `deliver`.
        description: one sentence for people.
        max_bytes: bytes per request, where the destination limits them; the connector keeps to it.
        kinds: operations it takes.
        idempotency: what delivering the same operation again does.
        granularity: what the destination says about a batch.
        fields: names it takes in `Operation.fields`; None: any.
        concurrency: calls of `deliver` that may run at once, never with the same key in two of them; above 1 the connector must be safe among threads.
        remembers: for class B: how long the destination knows an id; None: for ever.
        max_job: operations per job, where the destination `WorksInBulk` for this object; None: no jobs.
        min_job: fewer operations than this are delivered, not handed in as a job.
    """

    name: str
    match_key: str
    max_batch: int
    description: str = ""
    max_bytes: int | None = None
    kinds: frozenset[OpKind] = frozenset(OpKind)
    idempotency: Idempotency = Idempotency.ABSOLUTE
    granularity: Granularity = Granularity.ROW
    fields: frozenset[str] | None = None
    concurrency: int = 1
    remembers: timedelta | None = None
    max_job: int | None = None
    min_job: int = 2_000


@runtime_checkable
class Destination(Protocol):
    """Receives operations. Constructed as `Connector(config)`; must not touch the outside world in `__init__`."""

    meta: ClassVar[ConnectorMeta]
    config_model: ClassVar[type[Config]]

    def objects(self) -> Sequence[ObjectDef]:
        """What can be delivered to. No network."""
        ...

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        """Sends one batch; returns an outcome per `op_id`. A missing outcome counts as in doubt.

        Raises:
            DestinationError: nothing of the batch was sent, and sending more now is useless.
            ConfigError: the destination refuses our credentials or address.
        """
        ...


@dataclass(frozen=True)
class Container:
    """What a destination holds an audience in: `remote_id` is its word for it, `created` whether it was made just now."""

    remote_id: str
    created: bool


@runtime_checkable
class MakesContainers(Protocol):
    """`Capability.CONTAINERS`."""

    def ensure_container(self, object: str, audience: str, context: Context) -> Container:
        """The list, cohort or segment of an audience; made if it is not there. Doing it again changes nothing."""
        ...


@dataclass(frozen=True)
class RemoteRow:
    """What a destination holds for one key. Personal data.

    Args:
        key: the match key's value.
        present: whether it is a member of the audience.
        fields: what is held for it.
    """

    key: str
    present: bool
    fields: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class ReadsBack(Protocol):
    """`Capability.READ_BACK`."""

    def read_back(self, object: str, audience: str, keys: Sequence[str], context: Context) -> Iterator[RemoteRow]:
        """One row per key, in any order."""
        ...


@runtime_checkable
class Archives(Protocol):
    """`Capability.ARCHIVE`."""

    def archive(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        """Puts the records of persons away; an outcome per key. A key that is not known there is acknowledged."""
        ...


@runtime_checkable
class Erases(Protocol):
    """`Capability.ERASE`."""

    def erase(self, object: str, keys: Sequence[str], context: Context) -> Mapping[str, Outcome]:
        """Has persons forgotten for good; an outcome per key. A key that is not known there is acknowledged."""
        ...


@runtime_checkable
class WorksInBulk(Protocol):
    """`Capability.BULK`."""

    def submit(self, object: str, job: str, batch: Sequence[Operation], context: Context) -> str:
        """Hands a batch in under a name of ours, so that a crash can't hand it in twice; returns the destination's word for the job.

        An empty batch hands nothing in and only asks: the job of that name, "" where there is none.
        """
        ...

    def poll(self, object: str, reference: str, context: Context) -> Mapping[str, Outcome] | None:
        """Outcomes per `op_id` once the job is done, else None."""
        ...
