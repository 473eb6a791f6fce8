"""What the sandbox receiver holds: audiences, their members, and which operations were applied. One SQLite file; no HTTP here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists members(audience text, key text, fields text not null, primary key(audience, key)) without rowid;
create table if not exists audiences(audience text primary key, changed_at text not null);
create table if not exists applied(op_id text primary key) without rowid;
"""


@dataclass(frozen=True)
class AudienceState:
    """One audience as the receiver holds it. `changed_at` is ISO 8601, UTC."""

    audience: str
    members: int
    changed_at: str


class MemberStore:
    """Membership as sets: adding twice or removing what is not there changes nothing; an operation id is applied once, for ever."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    def apply(self, operations: Sequence[dict[str, Any]], now: float) -> None:
        """Applies operations that were not applied before, all or none of them."""
        at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        with self._transaction() as connection:
            for operation in operations:
                if connection.execute("insert or ignore into applied values (?)", (operation["op_id"],)).rowcount == 0:
                    continue
                place = (operation["audience"], operation["key"])
                if operation["op"] == "remove":
                    connection.execute("delete from members where audience = ? and key = ?", place)
                else:
                    fields = json.dumps(operation["fields"], sort_keys=True, ensure_ascii=False)
                    connection.execute("insert or replace into members values (?, ?, ?)", (*place, fields))
                connection.execute("insert or replace into audiences values (?, ?)", (operation["audience"], at))

    def audiences(self) -> list[AudienceState]:
        """Every audience that was ever written to, by name."""
        query = """select a.audience, count(m.key), a.changed_at from audiences a left join members m using (audience)
                   group by a.audience, a.changed_at order by a.audience"""
        with self._transaction() as connection:
            return [AudienceState(*row) for row in connection.execute(query)]

    def members(self, audience: str) -> dict[str, dict[str, Any]]:
        """Match key to fields of an audience's members. Personal data."""
        with self._transaction() as connection:
            rows = connection.execute("select key, fields from members where audience = ? order by key", (audience,))
            return {key: json.loads(fields) for key, fields in rows}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        try:
            connection.execute("begin immediate")
            yield connection
            connection.execute("commit")
        finally:
            connection.close()
