"""The stand-in for Acme's feed of contacts: as the documentation says, as far as the source is concerned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from starlette.responses import JSONResponse, Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, RefusedError, Shelf, iso, millis
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

TOKEN = "sandbox canary token"
PAGE = 100


class AcmeContacts(Emulation):
    """One account. A position is the instant of a change and the id of the contact, so that changes of one instant have an order."""

    name = "acme"
    title = "Acme"
    source = "made up; replace it by the vendor's documentation and its date"
    initial_tokens: ClassVar = (("token", TOKEN, "account"),)
    page = PAGE

    def make_windows(self) -> Mapping[str, Window]:
        return {"calls": Window(100, 10)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [Endpoint("GET", "/contacts/changes", self._changes, ("calls",)), Endpoint("GET", "/contacts/newest", self._newest, ("calls",))]

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("token", call.bearer, call.now):
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return JSONResponse({"error": f"http {status}"}, status, headers)

    def dress(self, call: Call, response: Response) -> None:
        if self.faults.dial.limits:
            response.headers["X-RateLimit-Remaining"] = str(max(self.windows["calls"].remaining(call.now), 0))

    def credentials(self) -> Mapping[str, str]:
        return {"token": TOKEN}

    def seed(self, people: Sequence[Person]) -> None:
        for person in people:
            self.add(person.email, millis(person.updated_at), first_name=person.first_name)

    def shelves(self) -> Sequence[Shelf]:
        some = self.store.select("contact", limit=10)
        return [
            Shelf("Contacts", self.store.count("contact"), ("email", "first_name"), [[one.body["email"], one.body["first_name"]] for one in some])
        ]

    def add(self, email: str, at: int, *, first_name: str = "") -> None:
        """Makes a contact that changed at an instant (Unix milliseconds)."""
        self.store.save([self.store.make("contact", {"email": email, "first_name": first_name}, at)])

    def _changes(self, call: Call) -> Response:
        at, _, last = call.query("after", "0.0").partition(".")
        if not (at.isdecimal() and last.isdecimal()):
            raise RefusedError(self.failure(call, 400))
        where, order = "(changed_at, id) > (?, ?)", "changed_at, id"
        found = self.store.select("contact", where, (int(at), int(last)), order=order, limit=self.page + 1)
        rows, position = found[: self.page], _position(found[: self.page][-1]) if found else f"{at}.{last}"
        more = {"next": position} if len(found) > self.page else {}
        return JSONResponse({"contacts": [_told(one) for one in rows], "position": position, **more})

    def _newest(self, call: Call) -> Response:
        found = self.store.select("contact", order="changed_at desc, id desc", limit=1)
        return JSONResponse({"position": _position(found[0]) if found else "0.0"})


def _position(record: Record) -> str:
    return f"{record.changed_at}.{record.id}"


def _told(record: Record) -> dict[str, str]:
    return {"contact_id": str(record.id), "updated_at": iso(record.changed_at), **record.body}


EMULATION = AcmeContacts
