"""What the webhook receiver holds: audiences, their members, and which operations were applied."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

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
        at, ids = now.isoformat(timespec="seconds"), {one["op_id"]: one for one in reversed(operations)}
        with self.transaction():
            sql = "select op_id from applied where op_id in (select value from json_each(?))"
            for (op_id,) in self.query(sql, (json.dumps(list(ids)),)):
                del ids[op_id]
            new = [one for one in operations if ids.get(one["op_id"]) is one]
            after = {(one["audience"], one["key"]): one for one in new}  # the last word on each member
            kept = [(*place, _text(one["fields"])) for place, one in after.items() if one["op"] != "remove"]
            self.run_many("insert into applied values (?)", [(one["op_id"],) for one in new])
            self.run_many("insert or replace into members values (?, ?, ?)", kept)
            self.run_many("delete from members where audience = ? and key = ?", [place for place, one in after.items() if one["op"] == "remove"])
            self.run_many("insert or replace into audiences values (?, ?)", [(audience, at) for audience in {one["audience"] for one in new}])
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


def _text(fields: dict[str, Any]) -> str:
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()
