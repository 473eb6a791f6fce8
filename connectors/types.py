"""What connectors exchange with the graph: typed values and the `Source` and `Destination` protocols.

Rows travel in columns (Arrow) through these protocols, never through a pluggy hook. Nothing here imports Dagster or `seg_assets`;
authors import these names from `seg_assets.sdk`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

API_VERSION = 1
"""Version of this interface; a connector states the one it was written for in `ConnectorMeta.api`."""


class Config(BaseModel):
    """Base of every connector's configuration model. Unknown keys are errors; each field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class ConnectorMeta:
    """What a connector says about itself.

    Args:
        id: the word users write after `connector:`; lower-case, stable for ever.
        title: name for people.
        description: one or two sentences.
        kinds: up to two Dagster kinds shown on its assets, e.g. ("csv", "files").
        api: the `API_VERSION` it was written for.
        docs_url: where its own documentation is, if anywhere.
    """

    id: str
    title: str
    description: str
    kinds: tuple[str, ...] = ()
    api: int = API_VERSION
    docs_url: str | None = None


class Landing(StrEnum):
    """How pages become rows of the raw table."""

    REPLACE_SLICE = "replace_slice"
    """All pages of a slice replace what that slice held before, in one commit (a changed file, a re-read day)."""
    APPEND = "append"
    """Pages are added (an event log read by cursor)."""


@dataclass(frozen=True)
class StreamDef:
    """One table a source delivers.

    Args:
        name: stable, lower-case; becomes `raw/<connection>/<name>`.
        description: one sentence for people.
        shaped_as: the canonical table whose column names it already uses ("events", "contacts", "consents", "enrichments", "mentions"),
            or None when the project must map it.
        schema: Arrow schema as delivered, or None when it is only known after reading.
        landing: how pages become rows.
    """

    name: str
    description: str = ""
    shaped_as: str | None = None
    schema: pa.Schema | None = None
    landing: Landing = Landing.REPLACE_SLICE


@dataclass(frozen=True)
class Reject:
    """A piece of input that could not become a row: where it is and why. Never its content.

    Args:
        slice: the slice it belongs to (for files: the path relative to the connection's root).
        position: line, record or byte number inside the slice, as text ("line 17"); "" for the whole slice.
        reason: what is wrong with it, in words.
    """

    slice: str
    position: str
    reason: str


@dataclass(frozen=True)
class Page:
    """Part of a slice. Exactly one of `rows` and `parquet` may be set; both None is a page of rejects only (or an empty slice).

    Args:
        slice: what this page belongs to; a change of name ends the slice before it. Slices come one after another, never interleaved.
        rows: columns as delivered.
        parquet: a local Parquet file to be landed as it is, byte for byte.
        cursor: the stream's cursor once this page's slice is landed; JSON-serialisable. It is committed together with the rows.
        rejects: input that could not become rows.
    """

    slice: str
    rows: pa.Table | pa.RecordBatch | None = None
    parquet: Path | None = None
    cursor: Mapping[str, Any] | None = None
    rejects: Sequence[Reject] = ()


class Clock(Protocol):
    """The time of day, and waiting. Tests give one that does not wait."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        ...


class SystemClock:
    """This machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Context:
    """What the graph hands to a connector for one call.

    Args:
        as_of: the instant the run is true for (UTC); the only clock a connector may use for data.
        log: for progress and warnings; no secrets, no personal data.
        root: folder the paths a connector reads start from (the project's folder); may be read-only.
        home: folder the files a connector keeps start from (where the lake is); `root` where none is given.
        clock: for signatures, rate limits and waiting; never for data.
        deadline: instant after which nothing is waited for; None: no such instant.
        scratch: a folder for temporary files, removed after the run.
    """

    as_of: datetime
    root: Path
    scratch: Path
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("connectors"))
    home: Path | None = None
    clock: Clock = field(default_factory=SystemClock)
    deadline: datetime | None = None


@runtime_checkable
class Source(Protocol):
    """Delivers streams. Constructed as `Connector(config)`; must not touch the outside world in `__init__`."""

    meta: ClassVar[ConnectorMeta]
    config_model: ClassVar[type[Config]]

    def streams(self, context: Context) -> Sequence[StreamDef]:
        """The streams this configuration delivers. Cheap: no network, no scan of data (the graph calls it while it loads)."""
        ...

    def watermark(self, stream: str, context: Context) -> str:
        """A short text that changes when, and only when, `read` would deliver something new. Cheap: sensors poll it."""
        ...

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        """Everything new since `cursor` (None: from the beginning), slice by slice, in bounded memory."""
        ...


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


@dataclass(frozen=True)
class ObjectDef:
    """Something a destination can hold members or fields for.

    Args:
        name: stable, lower-case; becomes `activation/<destination>/<name>/...`.
        match_key: which identifier members are matched by: "email", "phone", "user_id" or "person_id".
        max_batch: operations per call.
        description: one sentence for people.
    """

    name: str
    match_key: str
    max_batch: int
    description: str = ""


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
