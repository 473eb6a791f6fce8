"""Bulk extract of leads of the Marketo stand-in: jobs that move on each time their state is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from connectors.sandbox.emulation import Call, RefusedError, instant, iso
from connectors.sandbox.store import Record

if TYPE_CHECKING:
    from connectors.marketo.emulation import Marketo

AT_ONCE = 10


class Exports:
    """The endpoints under `/bulk/v1/leads/export`."""

    def __init__(self, marketo: Marketo) -> None:
        self._marketo, self._store = marketo, marketo.store

    def endpoints(self) -> list[tuple[str, str, Callable[[Call], Response]]]:
        base = "/bulk/v1/leads/export"
        return [
            ("POST", f"{base}/create.json", self._create_export),
            ("POST", f"{base}/{{export}}/enqueue.json", self._enqueue_export),
            ("GET", f"{base}/{{export}}/status.json", self._export_status),
            ("GET", f"{base}/{{export}}/file.json", self._export_file),
        ]

    def _create_export(self, call: Call) -> Response:
        body = call.object()
        fields, filter = body.get("fields"), body.get("filter")
        if not isinstance(fields, list) or not isinstance(filter, dict) or any(name not in self._marketo.fields for name in map(str, fields)):
            raise RefusedError(self._marketo.error(call, "1003"))
        if not all(isinstance(filter.get(name, {}), dict) for name in ("createdAt", "updatedAt")):
            raise RefusedError(self._marketo.error(call, "1003"))
        if not filter.keys() & {"createdAt", "updatedAt", "staticListId"}:
            raise RefusedError(self._marketo.error(call, "1035"))
        export = self._store.make("export", {"fields": fields, "filter": filter, "status": "Created", "format": body.get("format", "CSV")}, call.at)
        self._store.save([export])
        return self._marketo.answer(call, [self._export(export)])

    def _enqueue_export(self, call: Call) -> Response:
        export = self._my_export(call)
        if self._store.count("export", "json_extract(body, '$.status') in ('Queued', 'Processing')") >= AT_ONCE:
            raise RefusedError(self._marketo.error(call, "1029"))
        export.body |= {"status": "Queued", "queuedAt": iso(call.at)}
        self._store.save([export])
        return self._marketo.answer(call, [self._export(export)])

    def _export_status(self, call: Call) -> Response:
        """The state of an export, which moves on with each look: Queued, Processing, Completed."""
        export = self._my_export(call)
        if export.body["status"] == "Queued":
            export.body |= {"status": "Processing", "startedAt": iso(call.at)}
        elif export.body["status"] == "Processing":
            file, count = self._extract(export)
            sums = {"fileSize": len(file.encode()), "fileChecksum": f"sha256:{sha256(file.encode()).hexdigest()}", "numberOfRecords": count}
            export.body |= {"status": "Completed", "finishedAt": iso(call.at), "file": file, **sums}
        self._store.save([export])
        return self._marketo.answer(call, [self._export(export)])

    def _extract(self, export: Record) -> tuple[str, int]:
        filter, fields = export.body["filter"], export.body["fields"]
        conditions, parameters = ["true"], []
        for name, column in (("createdAt", "created_at"), ("updatedAt", "changed_at")):
            if name in filter:
                conditions.append(f"{column} between ? and ?")
                parameters += [instant(str(filter[name].get("startAt"))) or 0, instant(str(filter[name].get("endAt"))) or 2**62]
        if "staticListId" in filter:
            conditions.append("id in (select member from listed where list = ?)")
            parameters.append(filter["staticListId"])
        leads = self._store.select("lead", " and ".join(conditions), parameters)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(fields)
        writer.writerows([_cell(self._marketo.fields_of(lead).get(name)) for name in fields] for lead in leads)
        return text.getvalue(), len(leads)

    def _export_file(self, call: Call) -> Response:
        """The file, or the part of it a Range header asks for."""
        file = self._my_export(call).body.get("file")
        if file is None:
            raise RefusedError(self._marketo.error(call, "1003", "Export is not completed"))
        content, wanted = file.encode(), call.header("range").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        if not first.isdecimal():
            return Response(content, media_type="text/csv")
        part = content[int(first) : int(last) + 1 if last.isdecimal() else None]
        headers = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"}
        return Response(part, 206, headers, "text/csv")

    def _my_export(self, call: Call) -> Record:
        number = call.path("export").rpartition("-")[2]
        found = self._store.get("export", [int(number, 16)]) if number and set(number) <= set("0123456789abcdef") else {}
        if not found:
            raise RefusedError(self._marketo.error(call, "1013"))
        return next(iter(found.values()))

    def _export(self, export: Record) -> dict[str, Any]:
        told = {name: value for name, value in export.body.items() if name not in {"fields", "filter", "file"}}
        return {"exportId": f"00000000-0000-4000-8000-{export.id:012x}", "createdAt": iso(export.created_at), **told}


def _cell(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
