"""Acme, a made-up vendor with everything, and its stand-in: members, contacts, enrichment, consents, tokens."""

from __future__ import annotations

import atexit
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

PAGE = 3
SECRETS = {"client_id": "acme-client", "client_secret": "canary client secret", "refresh_token": "canary refresh token"}


class Acme:
    """The vendor. Everything it holds is in plain attributes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.lists: dict[str, dict[str, dict[str, Any]]] = {}
        self.refused: set[str] = set()
        self.contacts = [{"id": n, "email": f"canary-{n}@example.org", "changed": n // 2} for n in range(10)]
        self.people = {f"canary-{n}@example.org": {"city": f"City {n}", "age": 20 + n} for n in range(4)}
        self.charged = 0
        self.consents = [
            {"seq": n, "email": f"canary-{n % 4}@example.org", "purpose": ("ads", "mail")[n % 2], "choice": ("yes", "no")[n % 3 == 0]}
            for n in range(8)
        ]
        self.jobs: dict[str, list[dict[str, Any]]] = {}
        self.asked_for = 0
        self.tokens = 0
        self.url: str | None = None

    @contextmanager
    def running(self) -> Iterator[Acme]:
        server = _server()
        server.clear()
        server.expect_request("/token").respond_with_handler(self._token)
        for path, handle in {
            "/members": self._members,
            "/lists": self._lists,
            "/read": self._read,
            "/erase": self._erase,
            "/archive": self._erase,
            "/jobs": self._jobs,
            "/job": self._job,
            "/contacts": self._contacts,
            "/enrich": self._enrich,
            "/decide": self._decide,
            "/changes": self._changes,
        }.items():
            server.expect_request(path).respond_with_handler(lambda request, handle=handle: self._admitted(request, handle))
        self.url = server.url_for("")
        yield self

    def _token(self, request: Request) -> Response:
        request.get_data()
        self.tokens += 1
        return _json({"access_token": f"canary token {self.tokens}", "expires_in": 10_000_000})

    def _admitted(self, request: Request, handle: Any) -> Response:
        body = request.get_data()
        if request.headers.get("Authorization") != f"Bearer canary token {self.tokens}":
            return _json({"error": "token"}, 401)
        with self.lock:
            return _json(handle(json.loads(body) if body else request.args))

    def _members(self, body: Any) -> Any:
        held, done, errors = self.lists.setdefault(body["list"], {}), [], []
        for row in body["inputs"]:
            if row["email"] in self.refused:
                errors.append({"id": row["id"], "code": "REFUSED"})
                continue
            if row["op"] == "remove":
                held.pop(row["email"], None)
            else:
                held[row["email"]] = row["fields"]
            done.append({"id": row["id"]})
        return {"accepted": len(done), "results": done, "errors": errors}

    def _lists(self, body: Any) -> Any:
        created = body["name"] not in self.lists
        self.lists.setdefault(body["name"], {})
        return {"id": f"list-{body['name']}", "created": created}

    def _read(self, body: Any) -> Any:
        held = self.lists.get(body["list"], {})
        return {"members": [{"email": email, "fields": held[email]} for email in body["emails"] if email in held]}

    def _erase(self, body: Any) -> Any:
        for held in self.lists.values():
            held.pop(body["email"], None)
        return {"erased": body["email"]}

    def _jobs(self, body: Any) -> Any:
        """The job of a name; a second one of that name is the first."""
        if body["batches"]:
            self.jobs.setdefault(body["name"], body["batches"])
        return {"id": body["name"] if body["name"] in self.jobs else ""}

    def _job(self, query: Any) -> Any:
        """Done when asked for again."""
        self.asked_for += 1
        if self.asked_for < 2:
            return {"done": False}
        answers = [self._members(batch) for batch in self.jobs[query["id"]]]
        return {"done": True, "results": [one for a in answers for one in a["results"]], "errors": [one for a in answers for one in a["errors"]]}

    def _contacts(self, query: Any) -> Any:
        """By (changed, id), after a pair of them."""
        after = tuple(map(int, query["after"].split("."))) if query.get("after") else (-1, -1)
        rows = sorted((row for row in self.contacts if (row["changed"], row["id"]) > after), key=lambda row: (row["changed"], row["id"]))
        page = rows[:PAGE]
        more = f"{page[-1]['changed']}.{page[-1]['id']}" if len(rows) > PAGE else None
        return {"rows": page, "next": more}

    def _enrich(self, body: Any) -> Any:
        found = [{"ref": one["ref"], **self.people[one["email"]]} for one in body["people"] if one["email"] in self.people]
        self.charged += len(found)
        return {"matches": found, "asked": [one["ref"] for one in body["people"]]}

    def _decide(self, body: Any) -> Any:
        newest = {(one["email"], one["purpose"]): one["choice"] for one in self.consents}
        choices = [{"ref": one["ref"], "choice": newest.get((one["email"], body["purpose"]))} for one in body["people"]]
        return {"decisions": [one for one in choices if one["choice"]]}

    def _changes(self, query: Any) -> Any:
        rows = [one for one in self.consents if one["seq"] > int(query.get("after", -1))][:PAGE]
        return {"changes": rows}


@cache
def _server() -> HTTPServer:
    """One for all: stopping one takes half a second."""
    server = HTTPServer()
    server.start()
    atexit.register(server.stop)
    return server


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")
