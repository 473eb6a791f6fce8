"""The stand-in for Acme's lists of subscribers: as the documentation says, as far as the destination is concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, RefusedError, Shelf
from connectors.sandbox.faults import RowFault
from connectors.sandbox.limits import Window
from connectors.sandbox.store import Record

TOKEN = "sandbox canary token"
MAX_ROWS = 50


class AcmeLists(Emulation):
    """One account."""

    name = "acme"
    title = "Acme"
    source = "made up; replace it by the vendor's documentation and its date"
    initial_tokens: ClassVar = (("token", TOKEN, "account"),)

    def make_windows(self) -> Mapping[str, Window]:
        return {"calls": Window(100, 10)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [
            Endpoint("POST", "/lists/{list}/subscribers", self._subscribe, ("calls",)),
            Endpoint("POST", "/erasures", self._erase, ("calls",)),
            Endpoint("GET", "/account", self._account, ("calls",)),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        return [("list", body["list"]), ("email", body["email"]), ("place", _place(body["list"], body["email"]))]

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

    def shelves(self) -> Sequence[Shelf]:
        some = self.store.select("subscriber", limit=10)
        rows = [[one.body["list"], one.body["email"]] for one in some]
        return [Shelf("Subscribers", self.store.count("subscriber"), ("list", "email"), rows)]

    def members(self, name: str) -> dict[str, dict[str, Any]]:
        """Subscribers of a list: e-mail address to fields."""
        return {one.body["email"]: one.body["fields"] for one in self.store.find("subscriber", "list", [name]).get(name, [])}

    def _subscribe(self, call: Call) -> Response:
        rows = call.object().get("subscribers")
        if not isinstance(rows, list) or len(rows) > MAX_ROWS or not all(isinstance(one, dict) for one in rows):
            raise RefusedError(self.failure(call, 400))
        name, call.rows = call.path("list"), len(rows)
        held = {place: found[0] for place, found in self.store.find("subscriber", "place", [_place(name, one["email"]) for one in rows]).items()}
        changed: dict[int, Record] = {}
        gone: list[Record] = []
        done, failed = [], []
        for position, one in enumerate(rows):
            if fault := self.row_fault(call, one["email"], position):
                failed.append({"ref": one["ref"], "code": "BUSY" if fault is RowFault.BUSY else "REFUSED"})
                continue
            done.append({"ref": one["ref"]})
            place = _place(name, one["email"])
            if one["state"] == "off":
                gone += [held.pop(place)] if place in held else []
                continue
            record = held.setdefault(place, self.store.make("subscriber", {}, call.at))
            record.body = {"list": name, "email": one["email"], "fields": one["fields"]}
            changed[record.id] = record
            call.note("subscribe", place, record.body)
        self.store.delete(gone)
        self.store.save(list(changed.values()))
        return JSONResponse({"done": done, "failed": failed})

    def _account(self, call: Call) -> Response:
        return JSONResponse({"account": "sandbox"})

    def _erase(self, call: Call) -> Response:
        email = str(call.object().get("email"))
        self.store.delete(self.store.find("subscriber", "email", [email]).get(email, []))
        return JSONResponse({"erased": True})


def _place(name: str, email: str) -> str:
    return f"{name} {email}"


EMULATION = AcmeLists
