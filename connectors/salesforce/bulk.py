"""Contacts by Bulk API 2.0: a job per hand-in, and a memory of jobs, so that a restart finds them again by our own names.

Salesforce knows no client-chosen names of jobs. So a job is opened (which does nothing yet), written down here under our name, and only then given its rows and
closed; a job that was never closed is given up. Its results name rows by the external id, which is personal data: the memory keeps keyed hashes of it.
"""

from __future__ import annotations

import csv
import hmac
import io
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connectors.http import Api, Reply, check_reply
from connectors.http.rules import code_word
from connectors.types import Context, Operation, Outcome, Verdict

DAYS_KEPT = 7
"""Salesforce forgets jobs after a week, and so does the memory."""
_SCHEMA = """
create table if not exists jobs(name text primary key, reference text not null, opened_at real not null) without rowid;
create table if not exists operations(name text, op_id text, row text, audience text, outcome text, primary key(name, op_id)) without rowid;
"""
CLEARED = "#N/A"
"""What Bulk API 2.0 takes for "no value"; an empty cell changes nothing."""
LOCKED = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE"}


@dataclass(frozen=True)
class Done:
    """A finished job: ids of contacts by op_id with the audience they are for, and outcomes of all other operations."""

    contacts: Mapping[str, tuple[str, str]]
    outcomes: Mapping[str, Outcome]


class BulkJobs:
    """Jobs of one org.

    Args:
        api: the org.
        field: the external id.
        secret: keys the hashes of external ids.
    """

    def __init__(self, api: Api, field: str, secret: str) -> None:
        self._api, self._field, self._secret = api, field, secret.encode()

    def known(self, name: str, context: Context) -> str:
        """The job of a name, "" where there is none."""
        with self._memory(context) as memory:
            row = memory.execute("select reference from jobs where name = ?", (name,)).fetchone()
        return row[0] if row else ""

    def hand_in(self, name: str, adds: Sequence[Operation], settled: Mapping[str, Outcome], context: Context) -> str:
        """Opens a job, remembers it, gives it the contacts and closes it. `settled` operations have their outcomes already."""
        opened = self._api.call("open_job", context, json={"object": "Contact", "operation": "upsert", "externalIdFieldName": self._field, **_CSV})
        check_reply("Salesforce", opened)
        reference = str(opened.json["id"])
        operations = [(name, one.op_id, self._hash(name, one.key), one.audience, None) for one in adds]
        operations += [(name, op_id, None, None, json.dumps([one.verdict, one.reason])) for op_id, one in settled.items()]
        with self._memory(context) as memory:
            memory.execute("insert into jobs values (?, ?, ?)", (name, reference, context.clock.now()))
            memory.executemany("insert into operations values (?, ?, ?, ?, ?)", operations)
        uploaded = self._api.call("upload", context, path={"job": reference}, headers={"Content-Type": "text/csv"}, body=self._file(adds))
        check_reply("Salesforce", uploaded)
        check_reply("Salesforce", self._api.call("close_job", context, path={"job": reference}, json={"state": "UploadComplete"}))
        return reference

    def done(self, reference: str, context: Context) -> Done | None:
        """What became of a job; None while it goes on.

        Raises:
            DestinationError: the org can't be asked now.
        """
        state = self._asked("job", reference, context).json["state"]
        if state in {"UploadComplete", "InProgress"}:
            return None
        with self._memory(context) as memory:
            row = memory.execute("select name from jobs where reference = ?", (reference,)).fetchone()
            name: str = row[0] if row else ""
            held = memory.execute("select op_id, row, audience, outcome from operations where name = ?", (name,)).fetchall()
        outcomes = {op_id: _outcome(told) for op_id, _, _, told in held if told}
        open_ = {op_id: (row, audience) for op_id, row, audience, told in held if not told}
        if state != "JobComplete":
            if state == "Open":  # its rows were never handed in
                self._api.call("close_job", context, path={"job": reference}, json={"state": "Aborted"})
            gone = Outcome(Verdict.RETRY, f"the job ended as {code_word(state) or 'something else'}")
            return Done({}, outcomes | dict.fromkeys(open_, gone))
        ids = {self._hash(name, row[self._field]): row["sf__Id"] for row in self._table("succeeded", reference, context)}
        failed = {self._hash(name, row[self._field]): _failure(row["sf__Error"]) for row in self._table("failed", reference, context)}
        contacts = {op_id: (ids[row], audience) for op_id, (row, audience) in open_.items() if row in ids}
        untold = Outcome(Verdict.RETRY, "the job did not come to this row")
        return Done(contacts, outcomes | {op_id: failed.get(row, untold) for op_id, (row, _) in open_.items() if op_id not in contacts})

    def _asked(self, endpoint: str, reference: str, context: Context, **given: Any) -> Reply:
        reply = self._api.call(endpoint, context, path={"job": reference}, **given)
        check_reply("Salesforce", reply)
        return reply

    def _table(self, endpoint: str, reference: str, context: Context) -> Iterator[dict[str, str]]:
        reply = self._asked(endpoint, reference, context, headers={"Accept": "text/csv"})
        text = ((reply.answer and reply.answer.body) or b"").decode("utf-8")
        yield from csv.DictReader(io.StringIO(text))

    def _file(self, adds: Sequence[Operation]) -> bytes:
        """One row per contact; of several operations for one, later fields count."""
        rows: dict[str, dict[str, str]] = {}
        for one in adds:
            row = rows.setdefault(one.key.casefold(), {self._field: one.key})
            row |= {name: _cell(value) for name, value in one.fields.items()}
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
        return text.getvalue().encode()

    def _hash(self, name: str, key: str) -> str:
        return hmac.new(self._secret, f"{name}\0{key.casefold()}".encode(), "sha256").hexdigest()

    @contextmanager
    def _memory(self, context: Context) -> Iterator[sqlite3.Connection]:
        file = (context.home or context.root) / "connections" / "salesforce-jobs.sqlite"
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        memory = sqlite3.connect(file, timeout=60)
        try:
            memory.executescript(_SCHEMA)
            with memory:
                old = context.clock.now() - DAYS_KEPT * 86_400
                memory.execute("delete from operations where name in (select name from jobs where opened_at < ?)", (old,))
                memory.execute("delete from jobs where opened_at < ?", (old,))
                yield memory
        finally:
            memory.close()


_CSV = {"contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}


def _cell(value: Any) -> str:
    if value is None:
        return CLEARED
    return str(value).lower() if isinstance(value, bool) else str(value)


def _failure(error: str) -> Outcome:
    """`REQUIRED_FIELD_MISSING:words:fields--`: only the code is kept."""
    code = code_word(error.partition(":")[0])
    return Outcome(Verdict.RETRY if code in LOCKED else Verdict.REJECTED, code or "the vendor gives no code word for why")


def _outcome(told: str) -> Outcome:
    verdict, reason = json.loads(told)
    return Outcome(Verdict(verdict), reason)
