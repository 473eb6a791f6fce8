"""Streams, pages and the `Source` protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from connectors.types.context import Context
from connectors.types.meta import Config, ConnectorMeta, PiiClass


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
        keys: columns that together identify a row; empty: rows have no identity.
        cursor: column that says when a row last changed, where reading goes on from it.
        deleted: column that is true in rows that tell of a deletion; needs `keys`, `cursor` and APPEND. Such a row ends all earlier ones of its keys.
        pii: columns that relate to a person, and how; columns that are not named do not.
    """

    name: str
    description: str = ""
    shaped_as: str | None = None
    schema: pa.Schema | None = None
    landing: Landing = Landing.REPLACE_SLICE
    keys: tuple[str, ...] = ()
    cursor: str | None = None
    deleted: str | None = None
    pii: Mapping[str, PiiClass] = field(default_factory=dict)


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
