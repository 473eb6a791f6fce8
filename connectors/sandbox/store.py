"""What a stand-in holds: records found by any of their keys, lists of members, tokens, effects. One SQLite file each; no HTTP here."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from connectors.errors import ConfigError

_LAYOUT = 2
"""Number of the layout below, written in each file."""
_SCHEMA = f"""
begin immediate;
pragma user_version = {_LAYOUT};
create table if not exists records(
  kind text, id integer, body text not null, created_at integer not null, changed_at integer not null, primary key(kind, id)) without rowid;
create table if not exists keys(kind text, name text, value text, id integer, primary key(kind, name, value, id)) without rowid;
create table if not exists listed(list integer, member integer, at integer not null, primary key(list, member)) without rowid;
create index if not exists listed_by_member on listed(member);
create table if not exists tokens(token text primary key, kind text not null, client text not null, expires_at real) without rowid;
create table if not exists changes(seq integer primary key, at integer not null, request text not null, told text not null);
create table if not exists numbers(name text primary key, value integer not null) without rowid;
commit;
"""
_COLUMNS = "id, body, created_at, changed_at"

Index = Callable[[str, Mapping[str, Any]], Iterable[tuple[str, str]]]
"""Names and values a record of a kind can be found by, worked out from its body."""
_T = TypeVar("_T")


@dataclass(slots=True)
class Record:
    """One thing a vendor keeps. Times are Unix milliseconds."""

    kind: str
    id: int
    body: dict[str, Any]
    created_at: int
    changed_at: int
    keys: Sequence[tuple[str, str]] = ()
    """What the store finds it by: name, value."""


Change = tuple[str, str, str]
"""What a request did: op, target and digest of an `Effect`."""


class Effect(NamedTuple):
    """One change that really happened: what was done to which record or membership, by which request. `digest` stands for the content."""

    request: str
    op: str
    target: str
    digest: str = ""


class Store:
    """Records by kind. Calls from several threads take turns; a transaction keeps its turn to the end.

    Args:
        file: made when absent; what is in it survives restarts.
        index: what records can be found by.

    Raises:
        ConfigError: the file was made by another version.
    """

    def __init__(self, file: Path, index: Index | None = None) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._index, self._lock = index, threading.RLock()
        self._connection = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        if self.query("select 1 from sqlite_master limit 1") and self.query("pragma user_version") != [(_LAYOUT,)]:
            self.close()
            hint = f"move {file.parent} away: the stand-ins then begin anew, and so should the lake that delivers to them"
            raise ConfigError(f"{file.name} was made by another version of seg-assets", hint=hint)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = off")  # outlives this process, if not a power cut
        self._connection.execute("pragma cache_size = -65536")  # 64 MB
        self._connection.create_function("lower", 1, _lower, deterministic=True)
        self._connection.executescript(_SCHEMA)
        self._last_id: int = self.query("select coalesce(max(value), 0) from numbers where name = 'records'")[0][0]

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._connection.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of any statement."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for many rows, all or none."""
        with self.transaction():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; inside another one it is a part of that."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def attempt(self, work: Callable[[], _T], *, keep: bool) -> _T:
        """Does the work in a transaction whose changes are kept or forgotten. An exception forgets them."""
        done: list[_T] = []
        with suppress(_ForgottenError), self.transaction():
            done.append(work())
            if not keep:
                raise _ForgottenError
        return done[0]

    def next_number(self, name: str) -> int:
        """1, 2, 3, ... per name, across restarts."""
        sql = "insert into numbers values (?, 1) on conflict(name) do update set value = value + 1 returning value"
        return self.query(sql, (name,))[0][0]

    def make(self, kind: str, body: dict[str, Any], at: int) -> Record:
        """A new record with an id of its own; `save` keeps it."""
        with self._lock:
            self._last_id += 1
            return Record(kind, self._last_id, body, at, at)

    def save(self, records: Sequence[Record]) -> None:
        """Keeps records as they are now, and finds them by their present keys only."""
        sql = """insert into records values (?, ?, ?, ?, ?)
                 on conflict(kind, id) do update set body = excluded.body, changed_at = excluded.changed_at"""
        rows: list[tuple[Any, ...]] = []
        gone: list[tuple[Any, ...]] = []
        come: list[tuple[Any, ...]] = []
        for record in records:
            kind, id, keys = record.kind, record.id, self._keys(record.kind, record.body)
            rows.append((kind, id, orjson.dumps(record.body).decode(), record.created_at, record.changed_at))
            if keys != record.keys:
                gone += [(kind, *key, id) for key in record.keys if key not in keys]
                come += [(kind, *key, id) for key in keys if key not in record.keys]
                record.keys = keys
        with self.transaction():
            self.run_many(sql, rows)
            self.run_many("delete from keys where kind = ? and name = ? and value = ? and id = ?", gone)
            self.run_many("insert or ignore into keys values (?, ?, ?, ?)", come)
            self.query("insert into numbers values ('records', ?) on conflict(name) do update set value = excluded.value", (self._last_id,))

    def find(self, kind: str, name: str, values: Iterable[str]) -> dict[str, list[Record]]:
        """Records that have one of the values as the named key, oldest first."""
        sql = f"""select k.value, {_COLUMNS.replace("id", "r.id", 1)} from keys k join records r on r.kind = k.kind and r.id = k.id
                  where k.kind = ? and k.name = ? and k.value in (select value from json_each(?)) order by r.id"""
        found: dict[str, list[Record]] = {}
        rows = self.query(sql, (kind, name, _listed(values)))
        for (value, *_), record in zip(rows, self._records(kind, [row[1:] for row in rows]), strict=True):
            found.setdefault(value, []).append(record)
        return found

    def get(self, kind: str, ids: Iterable[int]) -> dict[int, Record]:
        """Records by id; those that are not there are left out."""
        sql = f"select {_COLUMNS} from records where kind = ? and id in (select value from json_each(?))"
        return {record.id: record for record in self._records(kind, self.query(sql, (kind, _listed(ids))))}

    def ids_by(self, kind: str, name: str, values: Iterable[str]) -> dict[str, int]:
        """As `find`, but ids only, and the oldest where several have a value."""
        sql = "select value, min(id) from keys where kind = ? and name = ? and value in (select value from json_each(?)) group by value"
        return dict(self.query(sql, (kind, name, _listed(values))))

    def there(self, kind: str, ids: Iterable[int]) -> set[int]:
        """Which of the ids are those of a record of the kind."""
        sql = "select id from records where kind = ? and id in (select value from json_each(?))"
        return {row[0] for row in self.query(sql, (kind, _listed(ids)))}

    def select(
        self, kind: str, where: str = "true", parameters: Sequence[Any] = (), *, order: str = "id", limit: int = -1, offset: int = 0
    ) -> list[Record]:
        """Records of a kind that fulfil a condition in SQL over the columns id, body, created_at, changed_at."""
        sql = f"select {_COLUMNS} from records where kind = ? and ({where}) order by {order} limit ? offset ?"
        return self._records(kind, self.query(sql, (kind, *parameters, limit, offset)))

    def count(self, kind: str, where: str = "true", parameters: Sequence[Any] = ()) -> int:
        """How many records of a kind fulfil a condition."""
        return self.query(f"select count(*) from records where kind = ? and ({where})", (kind, *parameters))[0][0]

    def delete(self, records: Iterable[Record]) -> None:
        """Forgets records, their keys and their memberships."""
        gone = list(records)
        keys = [(r.kind, *key, r.id) for r in gone for key in r.keys]
        with self.transaction():
            self.run_many("delete from records where kind = ? and id = ?", [(r.kind, r.id) for r in gone])
            self.run_many("delete from listed where member = ?", [(r.id,) for r in gone])
            self.run_many("delete from keys where kind = ? and name = ? and value = ? and id = ?", keys)
        for record in gone:
            record.keys = ()

    def list_add(self, list_id: int, members: Iterable[int], at: int) -> list[int]:
        """Puts records on a list; those that were not on it already, in their order."""
        before, new = self.listed(list_id, members), []
        for member in dict.fromkeys(members):
            if member not in before:
                new.append(member)
        self.run_many("insert into listed values (?, ?, ?)", ((list_id, member, at) for member in new))
        return new

    def list_remove(self, list_id: int, members: Iterable[int]) -> list[int]:
        """Takes records off a list; those that were on it, in their order."""
        before = self.listed(list_id, members)
        gone = [member for member in dict.fromkeys(members) if member in before]
        self.run_many("delete from listed where list = ? and member = ?", ((list_id, member) for member in gone))
        return gone

    def listed(self, list_id: int, members: Iterable[int]) -> set[int]:
        """Which of the records are on the list."""
        sql = "select member from listed where list = ? and member in (select value from json_each(?))"
        return {row[0] for row in self.query(sql, (list_id, _listed(members)))}

    def lists_of(self, members: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
        """(list, since) of each record that is on a list."""
        found: dict[int, list[tuple[int, int]]] = {}
        sql = "select member, list, at from listed where member in (select value from json_each(?)) order by member, list"
        for member, list_id, at in self.query(sql, (_listed(members),)):
            found.setdefault(member, []).append((list_id, at))
        return found

    def list_page(self, list_id: int, after: int = 0, limit: int = -1) -> list[tuple[int, int]]:
        """(record, since) of a list's members with larger ids than `after`, by id."""
        return [
            (m, at)
            for m, at in self.query("select member, at from listed where list = ? and member > ? order by member limit ?", (list_id, after, limit))
        ]

    def list_size(self, list_id: int) -> int:
        """How many records are on the list."""
        return self.query("select count(*) from listed where list = ?", (list_id,))[0][0]

    def _records(self, kind: str, rows: Sequence[Sequence[Any]]) -> list[Record]:
        bodies = orjson.loads(f"[{','.join(row[1] for row in rows)}]")
        return [Record(kind, row[0], body, row[2], row[3], self._keys(kind, body)) for row, body in zip(rows, bodies, strict=True)]

    def _keys(self, kind: str, body: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
        return tuple(self._index(kind, body)) if self._index else ()

    def tell(self, at: int, request: str, effects: Sequence[Change]) -> None:
        """Writes down what a request changed."""
        if effects:
            self.query("insert into changes(at, request, told) values (?, ?, ?)", (at, request, orjson.dumps(effects).decode()))

    def effects(self) -> list[Effect]:
        """Everything that ever changed, in order."""
        rows = self.query("select request, told from changes order by seq")
        return [Effect(request, *one) for request, told in rows for one in orjson.loads(told)]

    def repeated_effects(self) -> list[Effect]:
        """Effects that repeat the one before on the same target: the same was done twice though nothing had undone it."""
        before: dict[str, tuple[str, str]] = {}
        repeated: list[Effect] = []
        for one in self.effects():
            now = one.op, one.digest
            if before.get(one.target) == now:
                repeated.append(one)
            before[one.target] = now
        return repeated

    def count_effects(self) -> int:
        """How many changes there were."""
        return self.query("select coalesce(sum(json_array_length(told)), 0) from changes")[0][0]


def _lower(value: Any) -> Any:
    """SQLite's own knows the letters of ASCII only."""
    return None if value is None else str(value).lower()


def _listed(values: Iterable[Any]) -> str:
    """Values for `json_each(?)`: texts, or whole numbers of any size."""
    return json.dumps(list(values), ensure_ascii=False)


class _ForgottenError(Exception):
    """Ends a transaction whose changes are not wanted."""
