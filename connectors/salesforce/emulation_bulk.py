"""Bulk API 2.0 of the Salesforce stand-in: query and ingest jobs, which move on each time their state is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from connectors.salesforce.emulation_objects import OBJECTS, Fault, converted, record_id, record_number
from connectors.sandbox.emulation import Call, Endpoint, JSONResponse, RefusedError, iso
from connectors.sandbox.store import Record

if TYPE_CHECKING:
    from connectors.salesforce.emulation import Salesforce

MAX_FILE = 150_000_000
OPERATIONS = {"insert": "create", "update": "update", "upsert": "upsert", "delete": "delete", "hardDelete": "hardDelete"}
NEXT = {"UploadComplete": "InProgress", "InProgress": "JobComplete"}


class Bulk:
    """The endpoints under `/jobs`."""

    def __init__(self, org: Salesforce) -> None:
        self._org = org

    def endpoints(self, data: str, windows: Sequence[str]) -> list[Endpoint]:
        query, ingest = f"{data}/jobs/query", f"{data}/jobs/ingest"
        return [
            Endpoint("POST", query, self._create_query, windows),
            Endpoint("GET", f"{query}/{{job}}", self._state, windows),
            Endpoint("PATCH", f"{query}/{{job}}", self._abort_query, windows),
            Endpoint("DELETE", f"{query}/{{job}}", self._forget, windows),
            Endpoint("GET", f"{query}/{{job}}/results", self._query_results, windows),
            Endpoint("POST", ingest, self._create_ingest, windows),
            Endpoint("PUT", f"{ingest}/{{job}}/batches", self._upload, windows),
            Endpoint("PATCH", f"{ingest}/{{job}}", self._close, windows),
            Endpoint("GET", f"{ingest}/{{job}}", self._state, windows),
            Endpoint("DELETE", f"{ingest}/{{job}}", self._forget, windows),
            Endpoint("GET", f"{ingest}/{{job}}/successfulResults", lambda call: self._rows(call, "successful"), windows),
            Endpoint("GET", f"{ingest}/{{job}}/failedResults", lambda call: self._rows(call, "failed"), windows),
            Endpoint("GET", f"{ingest}/{{job}}/unprocessedrecords", lambda call: self._rows(call, "unprocessed"), windows),
        ]

    def _create_query(self, call: Call) -> Response:
        body = call.object()
        if body.get("operation") not in ("query", "queryAll") or not isinstance(body.get("query"), str):
            raise self._refused("INVALIDJOB", "operation and query are required")
        query, _ = self._org.run(body["query"], everything=True)
        if not query.fields:
            raise self._refused("INVALIDJOB", "COUNT() is not supported in bulk queries")
        return self._new(call, {"operation": body["operation"], "object": query.object, "query": body["query"], "state": "UploadComplete"}, "V2Query")

    def _create_ingest(self, call: Call) -> Response:
        body = call.object()
        kind, operation, external = str(body.get("object")), str(body.get("operation")), body.get("externalIdFieldName")
        if kind not in OBJECTS or operation not in OPERATIONS:
            raise self._refused("INVALIDJOB", "object and operation are required")
        if operation == "upsert" and external not in OBJECTS[kind].external:
            raise self._refused("INVALIDJOB", "externalIdFieldName must be an external id")
        if body.get("columnDelimiter", "COMMA") != "COMMA" or body.get("lineEnding", "LF") not in ("LF", "CRLF"):
            raise self._refused("INVALIDJOB", "only COMMA with LF or CRLF is understood here")
        told = {"operation": operation, "object": kind, "state": "Open", "lineEnding": body.get("lineEnding", "LF"), "columnDelimiter": "COMMA"}
        return self._new(call, told | ({"externalIdFieldName": external} if external else {}), "V2Ingest")

    def _new(self, call: Call, told: Mapping[str, Any], kind: str) -> Response:
        job = self._org.store.make("job", {}, call.at)
        id, version = record_id("750", job.id), call.path("version")
        facts = {"id": id, "createdById": record_id("005", 1), "createdDate": iso(call.at).replace("Z", "+0000"), "concurrencyMode": "Parallel"}
        upload = {"contentUrl": f"services/data/v{version}/jobs/ingest/{id}/batches"} if kind == "V2Ingest" else {}
        facts |= {"systemModstamp": facts["createdDate"], "contentType": "CSV", "apiVersion": float(version), "jobType": kind, **upload}
        job.body = {**told, **facts}
        self._org.store.save([job])
        return JSONResponse(_shown(job))

    def _upload(self, call: Call) -> Response:
        job = self._job(call)
        if job.body["state"] != "Open" or "csv" in job.body:
            raise self._refused("INVALIDJOBSTATE", "a job takes one upload, while it is open")
        if len(call.body) > MAX_FILE:
            raise RefusedError(self._org.error(413, "The file is too large."))
        job.body["csv"] = call.body.decode("utf-8", "replace")
        self._org.store.save([job])
        return Response(status_code=201)

    def _close(self, call: Call) -> Response:
        job, wanted = self._job(call), str(call.object().get("state"))
        if wanted not in {"UploadComplete", "Aborted"} or job.body["state"] != "Open":
            raise self._refused("INVALIDJOBSTATE", "only an open job can be closed or aborted")
        return self._set(job, wanted)

    def _abort_query(self, call: Call) -> Response:
        job = self._job(call)
        if call.object().get("state") != "Aborted" or job.body["state"] not in NEXT:
            raise self._refused("INVALIDJOBSTATE", "only a running job can be aborted")
        return self._set(job, "Aborted")

    def _set(self, job: Record, state: str) -> Response:
        job.body["state"] = state
        self._org.store.save([job])
        return JSONResponse(_shown(job))

    def _forget(self, call: Call) -> Response:
        job = self._job(call)
        if job.body["state"] in {*NEXT, "Open"}:
            raise self._refused("INVALIDJOBSTATE", "a running job can't be deleted")
        self._org.store.delete([job])
        return Response(status_code=204)

    def _state(self, call: Call) -> Response:
        """The job's state after it moved on by one."""
        job = self._job(call)
        if job.body["state"] == "InProgress":
            job.body |= self._queried(job) if job.body["jobType"] == "V2Query" else self._ingested(call, job)
        job.body["state"] = NEXT.get(job.body["state"], job.body["state"])
        self._org.store.save([job])
        return JSONResponse(_shown(job))

    def _queried(self, job: Record) -> dict[str, Any]:
        query, records = self._org.run(job.body["query"], everything=job.body["operation"] == "queryAll")
        rows = [[_cell(value) for value in self._org.shown(record, query.fields).values()] for record in records]
        return {"columns": query.fields, "rows": rows, "numberRecordsProcessed": len(rows)}

    def _ingested(self, call: Call, job: Record) -> dict[str, Any]:
        """Carries out an uploaded file row by row."""
        body, kind = job.body, OBJECTS[job.body["object"]]
        cells = list(csv.DictReader(io.StringIO(body.get("csv", ""))))
        columns = list(cells[0]) if cells else []
        values = [converted(kind, {name: cell or "" for name, cell in row.items() if name}) for row in cells]
        if body["operation"] in {"delete", "hardDelete"}:
            ids = [str(row.get("Id", "")) for row in values]
            faults = self._org.remove(call, ids, hard=body["operation"] == "hardDelete")
            outcomes = [("" if fault else id, False, fault) for id, fault in zip(ids, faults, strict=True)]
        else:
            outcomes = self._org.write(call, body["object"], OPERATIONS[body["operation"]], values, body.get("externalIdFieldName", ""))
        call.rows = len(cells)
        done = [[id, str(new).lower(), *row.values()] for row, (id, new, fault) in zip(cells, outcomes, strict=True) if not fault]
        failed = [[id, _words(fault), *row.values()] for row, (id, _, fault) in zip(cells, outcomes, strict=True) if fault]
        results = {"successful": {"columns": ["sf__Id", "sf__Created", *columns], "rows": done}}
        results |= {"failed": {"columns": ["sf__Id", "sf__Error", *columns], "rows": failed}, "unprocessed": {"columns": columns, "rows": []}}
        return {"results": results, "numberRecordsProcessed": len(cells), "numberRecordsFailed": len(failed)}

    def _query_results(self, call: Call) -> Response:
        """A page of the result as CSV; the locator of the last page is the word null."""
        job, size, locator = self._job(call), call.query("maxRecords", "50000"), call.query("locator")
        if job.body["state"] != "JobComplete" or not size.isdecimal() or int(size) < 1:
            raise self._refused("INVALIDJOBSTATE", "the job is not complete")
        start = record_number(locator) if locator else 0
        if (locator and not start) or start > len(job.body["rows"]):
            raise self._refused("INVALIDLOCATOR", "the locator is not one of this job's")
        page, end = job.body["rows"][start : start + int(size)], start + int(size)
        more = record_id("0r8", end) if end < len(job.body["rows"]) else "null"
        return _table(job.body["columns"], page, {"Sforce-Locator": more, "Sforce-NumberOfRecords": str(len(page))})

    def _rows(self, call: Call, which: str) -> Response:
        job = self._job(call)
        if "results" not in job.body:
            raise self._refused("INVALIDJOBSTATE", "the job is not complete")
        return _table(job.body["results"][which]["columns"], job.body["results"][which]["rows"], {})

    def _job(self, call: Call) -> Record:
        number = record_number(call.path("job"))
        job = self._org.store.get("job", [number]).get(number)
        if job is None:
            raise RefusedError(self._org.error(404, "The requested resource does not exist"))
        return job

    def _refused(self, code: str, message: str) -> RefusedError:
        return RefusedError(self._org.error(400, message, code))


def _shown(job: Record) -> dict[str, Any]:
    return {name: value for name, value in job.body.items() if name not in {"csv", "rows", "columns", "results", "query"}}


def _words(fault: Fault | None) -> str:
    return f"{fault.code}:{fault.message}:{' '.join(fault.fields)}--" if fault else ""


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], headers: Mapping[str, str]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return Response(text.getvalue(), headers=dict(headers), media_type="text/csv")
