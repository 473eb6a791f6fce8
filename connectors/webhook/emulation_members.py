"""What the webhook receiver holds: audiences, their members, and which operations were applied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.sandbox.store import Store

_SCHEMA = (
    "create table if not exists members(audience text, key text, fields text not null, primary key(audience, key)) without rowid",
    "create table if not exists audiences(audience text primary key, changed_at text not null)",
    "create table if not exists applied(op_id text primary key) without rowid",
)


@dataclass(frozen=True)
class AudienceState:
    """One audience as the receiver holds it. `changed_at` is ISO 8601, UTC."""

    audience: str
    members: int
    changed_at: str


class MemberStore(Store):
    """Membership as sets: adding twice or removing what is not there changes nothing; an operation id is applied once, for ever."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        with self.transaction():
            for statement in _SCHEMA:
                self.query(statement)

    def apply(self, operations: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
        """Applies operations that were not applied before, all or none of them, and returns them."""
        at, new = now.isoformat(timespec="seconds"), []
        with self.transaction():
            for operation in operations:
                if not self.query("insert or ignore into applied values (?) returning op_id", (operation["op_id"],)):
                    continue
                new.append(operation)
                place = (operation["audience"], operation["key"])
                if operation["op"] == "remove":
                    self.query("delete from members where audience = ? and key = ?", place)
                else:
                    fields = json.dumps(operation["fields"], sort_keys=True, ensure_ascii=False)
                    self.query("insert or replace into members values (?, ?, ?)", (*place, fields))
                self.query("insert or replace into audiences values (?, ?)", (operation["audience"], at))
        return new

    def audiences(self) -> list[AudienceState]:
        """Every audience that was ever written to, by name."""
        query = """select a.audience, count(m.key), a.changed_at from audiences a left join members m using (audience)
                   group by a.audience, a.changed_at order by a.audience"""
        return [AudienceState(*row) for row in self.query(query)]

    def members(self, audience: str) -> dict[str, dict[str, Any]]:
        """Match key to fields of an audience's members. Personal data."""
        rows = self.query("select key, fields from members where audience = ? order by key", (audience,))
        return {key: json.loads(fields) for key, fields in rows}
