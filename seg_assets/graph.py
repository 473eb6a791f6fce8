"""What the asset modules build from: a project, its connectors, its tables, and the names all of these have in Dagster.

Made once per code location by `build.build_defs`. Asks connectors what they deliver; opens no connection and reads no data.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel, ValidationError

from connectors.consent_source import as_source
from connectors.errors import ConnectorError
from connectors.registry import Registry, load_registry
from connectors.types import Capability, Context, Destination, Enricher, Landing, ObjectDef, Source, StreamDef
from seg_assets.enrichment import ANSWERS, MATCHED
from seg_assets.errors import ProjectError, SegError
from seg_assets.lake import Lake
from seg_assets.profiles.activity import activity_table
from seg_assets.profiles.profiles import profiles_table
from seg_assets.project.base import ColumnMapping
from seg_assets.project.destinations import Destination as DestinationConfig
from seg_assets.project.enrichers import Enricher as EnricherConfig
from seg_assets.project.explain import explain
from seg_assets.project.load import Project
from seg_assets.project.models import Connection, Stream
from seg_assets.project.secrets import resolve_secrets
from seg_assets.schema import tables
from seg_assets.schema.types import Table
from seg_assets.unify import FromColumn, FromSql, FromValue, StreamMapping
from seg_assets.unify.mapping import Origin
from seg_assets.unify.typing import Conventions

if TYPE_CHECKING:
    from seg_assets.activation.ledger import Ledger
    from seg_assets.segments import SegmentSet

AS_OF_TAG = "seg/as_of"
"""Run tag that fixes the instant a run is true for."""


@dataclass(frozen=True)
class StreamSource:
    """One stream of a connection: a raw asset, and perhaps part of a canonical table.

    Args:
        connection: its connection's name.
        definition: what the connector says of it.
        mapping: how it becomes canonical; None when it is only kept.
        layer: "raw", or "enriched" for what an enricher tells.
    """

    connection: str
    definition: StreamDef
    mapping: StreamMapping | None
    layer: str = "raw"

    @property
    def key(self) -> tuple[str, ...]:
        """Key of its table in the lake."""
        return (self.layer, self.connection, self.definition.name) if self.layer == "raw" else (self.layer, self.connection)


@dataclass(frozen=True)
class ConnectionNode:
    """A connection as the graph sees it. `error` says why it can't be used; its raw assets then fail with that reason."""

    name: str
    config: Connection
    connector: type[Source] | None
    streams: tuple[StreamSource, ...]
    error: str | None = None


@dataclass(frozen=True)
class EnricherNode:
    """An enricher as the graph sees it; `error` as for connections."""

    name: str
    config: EnricherConfig
    connector: type[Enricher] | None
    error: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Key of its answers in the lake."""
        return ("enriched", self.name)

    @property
    def title(self) -> str:
        return self.connector.meta.title if self.connector else self.config.connector

    @property
    def stream(self) -> StreamSource:
        """Its answers as a part of unified/enrichments."""
        answers = StreamDef("answers", f"What {self.title} told about persons.", "enrichments", ANSWERS, Landing.APPEND)
        return StreamSource(self.name, answers, StreamMapping(source=self.name, to="enrichments", where=MATCHED), layer="enriched")


@dataclass(frozen=True)
class DestinationNode:
    """A destination object as the graph sees it; `error` as for connections."""

    name: str
    config: DestinationConfig
    connector: type[Destination] | None
    object: ObjectDef | None
    error: str | None = None


@dataclass(frozen=True)
class Graph:
    """Everything an asset body needs beside its inputs.

    Args:
        project: configuration and taxonomy.
        registry: connectors that could be loaded.
        prefix: put before every asset key, so that several graphs fit into one code location.
    """

    project: Project
    registry: Registry
    prefix: tuple[str, ...] = ()
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("seg_assets"))

    @classmethod
    def of(cls, project: Project, registry: Registry | None = None, prefix: Sequence[str] = ()) -> Graph:
        return cls(project, registry or load_registry(project.connectors_dir), tuple(prefix))

    # Names

    def asset_key(self, key: Sequence[str]) -> dg.AssetKey:
        """Asset key of a lake table."""
        return dg.AssetKey([*self.prefix, *key])

    def lake_key(self, key: dg.AssetKey) -> tuple[str, ...]:
        """Lake table of an asset key."""
        return tuple(key.path[len(self.prefix) :])

    def name(self, base: str) -> str:
        """A name for a job, sensor or resource that no other graph of the location has."""
        return "_".join([*self.prefix, base]).replace("-", "_")

    @property
    def io_manager_key(self) -> str:
        return self.name("lake")

    # Tables

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.project.lake)

    @cached_property
    def tables(self) -> Mapping[tuple[str, ...], Table]:
        """Every canonical table with the project's own columns, by key."""
        extended = (activity_table(self.project.taxonomy), profiles_table(self.project.taxonomy))
        return {t.key: t for t in (*tables.ALL, *extended)}

    def table(self, key: Sequence[str]) -> Table:
        return self.tables[tuple(key)]

    @property
    def conventions(self) -> Conventions:
        config = self.project.config
        return Conventions(config.currency, config.fx, config.identity.default_region)

    @property
    def trust(self) -> list[str]:
        return list(self.project.config.identity.sources)

    # Connectors

    @cached_property
    def connections(self) -> tuple[ConnectionNode, ...]:
        return tuple(self._connection(name, config) for name, config in sorted(self.project.config.connections.items()))

    @cached_property
    def destinations(self) -> tuple[DestinationNode, ...]:
        return tuple(self._destination(name, config) for name, config in sorted(self.project.config.destinations.items()))

    @cached_property
    def enrichers(self) -> tuple[EnricherNode, ...]:
        return tuple(self._enricher(name, config) for name, config in sorted(self.project.config.enrichers.items()))

    def streams_to(self, table: str) -> list[StreamSource]:
        """Streams mapped onto a canonical table."""
        streams = [*(s for c in self.connections for s in c.streams), *(e.stream for e in self.enrichers)]
        return [s for s in streams if s.mapping and s.mapping.to == table]

    def segments(self) -> SegmentSet:
        """The project's segments as they are written now, checked against its taxonomy."""
        from seg_assets.segments import catalog_of, read_segments

        return read_segments(self.project.segments_dir, catalog_of(self.project.taxonomy))

    def enricher(self, name: str) -> Enricher:
        """The configured connector of an enricher, secrets resolved.

        Raises:
            ProjectError: the enricher can't be used.
        """
        return self._configured(next(e for e in self.enrichers if e.name == name), "enricher")

    def source(self, name: str) -> Source:
        """The configured connector of a connection, secrets resolved.

        Raises:
            ProjectError: the connection can't be used.
        """
        return self._configured(next(c for c in self.connections if c.name == name), "connection")

    def destination(self, name: str) -> Destination:
        """The configured connector of a destination, secrets resolved.

        Raises:
            ProjectError: the destination can't be used.
        """
        return self._configured(next(d for d in self.destinations if d.name == name), "destination")

    def _configured(self, node: ConnectionNode | DestinationNode | EnricherNode, word: str) -> Any:
        if node.connector is None or node.error:
            raise ProjectError(f"{word} {node.name}: {node.error}", place=self.project.place(f"{word}s", node.name))
        return node.connector(node.connector.config_model.model_validate(self._with_secrets(node.config.config)))  # type: ignore[call-arg]

    def secret_text(self, text: str) -> str:
        """A text with what `${NAME}` in it stands for: never log it."""
        return self._with_secrets({"": text})[""]

    def _with_secrets(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with what `${NAME}` stands for; plug-ins are asked before the environment."""

        def ask(name: str) -> str | None:
            secret = self.registry.secret(name)
            return secret.get_secret_value() if secret else None

        return resolve_secrets(config, ask=ask)

    def ledger(self, destination: str, object: str) -> Ledger:
        from seg_assets.activation.ledger import Ledger  # SQLAlchemy would be a fifth of the graph's loading time

        return Ledger(self.project.state_url, destination, object)

    @contextmanager
    def context(self, as_of: datetime) -> Iterator[Context]:
        """What a connector gets for one call; its scratch folder is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="seg-") as scratch:
            yield Context(as_of=as_of, root=self.project.root, home=self.project.home, scratch=Path(scratch), log=self.log)

    def _connection(self, name: str, config: Connection) -> ConnectionNode:
        connector = None
        try:
            connector = self._source_class(config.connector)
            settings = connector.config_model.model_validate(_placeholders(config.config))
            with self.context(datetime.fromisoformat("1970-01-01T00:00:00+00:00")) as context:
                definitions = connector(settings).streams(context)  # type: ignore[call-arg]
            unknown = sorted(set(config.streams) - {d.name for d in definitions})
            if unknown:
                raise SegError(f"no stream {', '.join(unknown)}", hint=f"it has {', '.join(d.name for d in definitions)}")
            streams = [self._stream(name, d, config.streams.get(d.name)) for d in definitions]
        except Exception as error:  # whatever a connector does wrong must not take the graph down
            reason = _reason(error, connector and connector.config_model)
            declared = tuple(StreamSource(name, StreamDef(s), None) for s in config.streams) or (StreamSource(name, StreamDef("unavailable"), None),)
            return ConnectionNode(name, config, None, declared, reason)
        return ConnectionNode(name, config, connector, tuple(s for s in streams if s))

    def _source_class(self, connector: str) -> type[Source]:
        """A source, or a consent provider that is read as one."""
        if connector not in self.registry.sources and connector in self.registry.consent_providers:
            return as_source(self.registry.consent_provider(connector))
        return self.registry.source(connector)

    def _enricher(self, name: str, config: EnricherConfig) -> EnricherNode:
        connector = None
        try:
            connector = self.registry.enricher(config.connector)
            offered = [f.name for f in connector(connector.config_model.model_validate(_placeholders(config.config))).fields()]  # type: ignore[call-arg]
            if unknown := sorted(set(config.fields) - set(offered)):
                raise SegError(f"no field {', '.join(unknown)}", hint=f"it has {', '.join(offered)}")
        except Exception as error:  # as above
            return EnricherNode(name, config, None, _reason(error, connector and connector.config_model))
        return EnricherNode(name, config, connector)

    def _stream(self, connection: str, definition: StreamDef, config: Stream | None) -> StreamSource | None:
        if config and config.ignore:
            return None
        to = (config and config.to) or definition.shaped_as
        if to is None:
            return StreamSource(connection, definition, None)
        taxonomy = self.project.taxonomy
        custom = taxonomy.custom_properties if to == "events" else taxonomy.custom_attributes if to == "contacts" else {}
        columns = {n: _origin(c) for n, c in config.columns.items()} if config and config.columns else None
        mapping = StreamMapping(
            source=f"{connection}/{definition.name}",
            to=to,
            columns=columns,
            timezone=config.timezone if config else "UTC",
            where=config.where if config else None,
            extras={n: f.column(n) for n, f in custom.items() if columns is None or n in columns},
        )
        return StreamSource(connection, definition, mapping)

    def _destination(self, name: str, config: DestinationConfig) -> DestinationNode:
        connector = None
        try:
            connector = self.registry.destination(config.connector)
            settings = connector.config_model.model_validate(_placeholders(config.config))
            offered = {o.name: o for o in connector(settings).objects()}  # type: ignore[call-arg]
            wanted = config.object or (next(iter(offered)) if len(offered) == 1 else None)
            if wanted not in offered:
                raise SegError(f"no object {wanted!r}" if wanted else "it has several objects", hint=f"choose one of {', '.join(offered)}")
            _check_leaving(connector, config)
        except Exception as error:  # as above
            return DestinationNode(name, config, None, None, _reason(error, connector and connector.config_model))
        return DestinationNode(name, config, connector, offered[wanted])


def _check_leaving(connector: type[Destination], config: DestinationConfig) -> None:
    """Whether the connector can do to those who leave what is asked for."""
    wholly = {"archive": Capability.ARCHIVE, "erase": Capability.ERASE}
    able = connector.meta.capabilities
    if config.leaving in wholly and wholly[config.leaving] not in able:
        ways = ["nothing", "clear", "remove", *(way for way, capability in wholly.items() if capability in able)]
        raise SegError(f"{connector.meta.title} can't {config.leaving} a record", hint=f"on_leave may be {', '.join(ways)}")


def _origin(column: ColumnMapping) -> Origin:
    if column.sql is not None:
        return FromSql(column.sql)
    if column.column is not None:
        return FromColumn(column.column)
    if column.value is None:
        raise ProjectError("a column mapping names no origin")
    return FromValue(column.value)


class _EverySecretIsSet(dict[str, str]):
    """The environment while the graph loads: what a connector offers does not depend on secrets, so one that is not set yet is no error."""

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return os.environ.get(name, "https://unset.invalid")


def _placeholders(config: Mapping[str, Any]) -> dict[str, Any]:
    return resolve_secrets(config, environ=_EverySecretIsSet())


def _reason(error: Exception, model: type[BaseModel] | None) -> str:
    if isinstance(error, ValidationError) and model:
        return "; ".join(f"config.{'.'.join(map(str, problem.steps))}: {problem.message}" for problem in explain(error, model))
    if isinstance(error, SegError | ConnectorError):
        return str(error)
    return f"{type(error).__name__} in the connector: {error}"
