"""Where Dagster keeps what happened in runs: its own SQLite files, opened once.

Dagster's storage makes an engine for every event, and with it compiles every statement anew: three of the sixteen seconds that a small project takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData


class EventLog(SqliteEventLogStorage):
    """Dagster's event log in the same files; see the module. The UI and the daemon may read and write them at the same time with Dagster's own class."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> EventLog:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            if shard not in self._engines:
                engine = sa.create_engine(self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
                self._initdb(engine)
                self._engines[shard] = engine
            with self._engines[shard].begin() as connection:
                yield connection

    def dispose(self) -> None:
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()


def instance_ref(home: Path) -> InstanceRef:
    """The Dagster instance at `home`, with `EventLog` unless its dagster.yaml names a storage."""
    chosen, defaults = InstanceRef.from_dir(str(home)), InstanceRef.config_defaults(str(home))
    usual = defaults["event_log_storage"]
    if chosen.storage_data != defaults["storage"] or usual is None:
        return chosen
    log = {"module": __name__, "class": EventLog.__name__, "config": usual.config_dict}
    return InstanceRef.from_dir(str(home), overrides={"event_log_storage": log})
