"""The stand-in for Acme's data about persons: as the documentation says, as far as the enricher is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, RefusedError, Shelf
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person

TOKEN = "sandbox canary token"


class AcmePeople(Emulation):
    """One account."""

    name = "acme"
    title = "Acme"
    source = "made up; replace it by the vendor's documentation and its date"
    initial_tokens: ClassVar = (("token", TOKEN, "account"),)

    def make_windows(self) -> Mapping[str, Window]:
        return {"calls": Window(100, 10)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint("POST", "/people", self._people, ("calls",))]

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
            self.know(person.email, job_title="teacher", city=person.city)

    def shelves(self) -> Sequence[Shelf]:
        return [Shelf("Persons", self.store.count("person"), (), []), Shelf("Credits spent", self.spent(), (), [])]

    def know(self, email: str, **values: str) -> None:
        """Makes a person the vendor knows."""
        self.store.save([self.store.make("person", {"email": email, "values": values}, 0)])

    def spent(self) -> int:
        """Matches that were charged so far."""
        return self.store.query("select coalesce(sum(value), 0) from numbers where name = 'spent'")[0][0]

    def _people(self, call: Call) -> Response:
        body = call.object()
        asked, fields = body.get("people"), body.get("fields")
        if not isinstance(asked, list) or not isinstance(fields, list):
            raise RefusedError(self.failure(call, 400))
        call.rows = len(asked)
        known = self.store.find("person", "email", [one["email"] for one in asked])
        answers = []
        for one in asked:
            found = {name: known[one["email"]][0].body["values"].get(name) for name in fields} if one["email"] in known else None
            answers.append({"ref": one["ref"], "found": found})
            if found is not None:
                self.store.next_number("spent")
        return JSONResponse({"people": answers})


EMULATION = AcmePeople
