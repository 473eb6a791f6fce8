"""The stand-in for Acme's decisions: as the documentation says, as far as the consent provider is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, RefusedError, Shelf, iso, millis
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

TOKEN = "sandbox canary token"
PAGE = 100


class AcmeDecisions(Emulation):
    """One account. Every decision is kept; the newest about a purpose counts."""

    name = "acme"
    title = "Acme"
    source = "made up; replace it by the vendor's documentation and its date"
    initial_tokens: ClassVar = (("token", TOKEN, "account"),)
    page = PAGE

    def make_windows(self) -> Mapping[str, Window]:
        return {"calls": Window(100, 10)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint("POST", "/decisions", self._decide, ("calls",)), Endpoint("GET", "/changes", self._changes, ("calls",))]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return [("email", body["email"])]

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("token", call.bearer, call.now):
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return JSONResponse({"error": f"http {status}"}, status, headers)

    def credentials(self) -> Mapping[str, str]:
        return {"token": TOKEN}

    def seed(self, people: Sequence[Person]) -> None:
        for person in people:
            for purpose, statement in person.consents.items():
                self.decided(person.email, purpose, "yes" if statement.state == "granted" else "no", millis(statement.at))

    def shelves(self) -> Sequence[Shelf]:
        some = self.store.select("decision", order="id desc", limit=10)
        rows = [[one.body["email"], one.body["purpose"], one.body["choice"]] for one in some]
        return [Shelf("Decisions", self.store.count("decision"), ("email", "purpose", "choice"), rows)]

    def decided(self, email: str, purpose: str, choice: str, at: int) -> None:
        """Keeps a decision that was made at an instant (Unix milliseconds)."""
        self.store.save([self.store.make("decision", {"email": email, "purpose": purpose, "choice": choice}, at)])

    def _decide(self, call: Call) -> Response:
        body = call.object()
        emails, purpose = body.get("emails"), body.get("purpose")
        if not isinstance(emails, list):
            raise RefusedError(self.failure(call, 400))
        found = self.store.find("decision", "email", emails)
        newest = [[one for one in records if one.body["purpose"] == purpose][-1:] for records in found.values()]
        return JSONResponse({"decisions": [_told(one) for records in newest for one in records]})

    def _changes(self, call: Call) -> Response:
        after = call.query("after", "0")
        if not after.isdecimal():
            raise RefusedError(self.failure(call, 400))
        found = self.store.select("decision", "id > ?", (int(after),), limit=self.page + 1)
        rows = found[: self.page]
        position = str(rows[-1].id) if rows else after
        more = {"next": position} if len(found) > self.page else {}
        return JSONResponse({"changes": [_told(one) for one in rows], "position": position, **more})


def _told(record: Record) -> dict[str, Any]:
    return {"id": record.id, "decided_at": iso(record.changed_at), **record.body}


EMULATION = AcmeDecisions
