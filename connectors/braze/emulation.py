"""The stand-in for Braze: user attributes, events and purchases, subscription groups, export and erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from connectors.sandbox.emulation import Call, Emulation, Endpoint, JSONResponse, RefusedError, Shelf, digest, instant, iso, millis
from connectors.sandbox.limits import Window
from connectors.sandbox.people import Person
from connectors.sandbox.store import Record

API_KEY = "sandbox-braze-rest-key"
GROUP = "sandbox-newsletter"
"""Subscription group that exists from the start."""
MAX_OBJECTS, MAX_BYTES, MAX_IDS = 75, 4 << 20, 50
IDENTIFIERS = ("external_id", "user_alias", "braze_id", "email", "phone")
"""In the order in which they are tried."""
TEXTS = ("external_id", "email", "phone")
NO_ATTRIBUTES = frozenset({"user_alias", "braze_id", "_update_existing_only", "user_aliases"})
NOBODY = ("", "")
ARRAYS = ("attributes", "events", "purchases")
NEEDED = {"attributes": (), "events": ("name", "time"), "purchases": ("product_id", "currency", "price", "time")}


class Braze(Emulation):
    """One Braze workspace, with 75 objects per request over all arrays."""

    name = "braze"
    title = "Braze"
    source = "Braze's public Postman collection as OpenAPI of 2026-07-24 and docs as of 2026-11-22"
    initial_tokens: ClassVar = (("key", API_KEY, "workspace"),)

    def make_windows(self) -> Mapping[str, Window]:
        return {"track": Window(3000, 3), "export": Window(250, 60), "users": Window(20_000, 60), "rest": Window(250_000, 3600)}

    def endpoints(self) -> Sequence[Endpoint]:
        return [
            Endpoint("POST", "/users/track", self._track, ("track",)),
            Endpoint("POST", "/users/delete", self._delete, ("users",)),
            Endpoint("POST", "/users/export/ids", self._export, ("export",)),
            Endpoint("POST", "/v2/subscription/status/set", self._subscribe, ("rest",)),
            Endpoint("GET", "/subscription/status/get", self._subscription, ("rest",)),
        ]

    def index(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        if kind == "group":
            return [("name", body["name"])]
        if kind != "user":
            return ()
        plain = [(name, _normal(name, body[name])) for name in TEXTS if body.get(name)]
        return [*plain, *(("user_alias", _alias(alias)) for alias in body["user_aliases"])] if "user_aliases" in body else plain

    def admit(self, call: Call) -> None:
        if not self.tokens.holder("key", call.bearer, call.now):
            raise RefusedError(self.failure(call, 401))

    def failure(self, call: Call, status: int, headers: Mapping[str, str] | None = None) -> Response:
        return _fatal(status, {401: "Invalid API Key", 429: "Too Many Requests", 413: "Request Entity Too Large"}.get(status, f"HTTP {status}"))

    def dress(self, call: Call, response: Response) -> None:
        for name in call.endpoint.windows if self.faults.dial.limits else ():
            window = self.windows[name]
            left = window.remaining(call.now)
            told = {"limit": window.limit, "remaining": left, "reset": int(window.free_at(call.now) if left <= 0 else call.now + window.seconds)}
            response.headers.update({f"x-ratelimit-{key}": str(value) for key, value in told.items()})

    def credentials(self) -> Mapping[str, str]:
        return {"REST API key": API_KEY, "subscription group": GROUP}

    def seed(self, people: Sequence[Person]) -> None:
        users = []
        for person in people:
            told = {"external_id": person.user_id, "email": person.email, "phone": person.phone, "first_name": person.first_name}
            more = {"last_name": person.last_name, "home_city": person.city, "country": person.country, "language": person.language}
            users.append(self.store.make("user", {name: value for name, value in (told | more).items() if value}, millis(person.created_at)))
        self.store.save(users)
        group = self._group(GROUP, 0)
        agreed = [user for user, person in zip(users, people, strict=True) if _agrees(person)]
        self.store.list_add(group.id, [user.id for user in agreed], 0)

    def shelves(self) -> Sequence[Shelf]:
        columns = ("external_id", "email", "first_name", "home_city", "attributes")
        users = self.store.select("user", order="changed_at desc, id desc", limit=10)
        known = {*IDENTIFIERS, "user_aliases", "first_name", "last_name", "home_city", "country", "language"}
        rows = [[*(str(u.body.get(c, "")) for c in columns[:-1]), ", ".join(sorted(u.body.keys() - known))] for u in users]
        groups = self.store.select("group")
        events = self.store.query("select json_extract(body, '$.name'), count(*) from records where kind = 'event' group by 1 order by 2 desc")
        return [
            Shelf("Users", self.store.count("user"), columns, rows),
            Shelf("Subscription groups", len(groups), ("id", "subscribed"), [(g.body["name"], f"{self.store.list_size(g.id):,}") for g in groups]),
            Shelf("Events", self.store.count("event"), ("name", "times"), [(str(name), f"{n:,}") for name, n in events]),
        ]

    def _track(self, call: Call) -> Response:
        """Applies what can be applied; rows that can't be stand in `errors` beside "success"."""
        if len(call.body) > MAX_BYTES:
            raise RefusedError(self.failure(call, 413))
        body = {name: rows for name, rows in call.object().items() if name in ARRAYS and isinstance(rows, list)}
        if not any(body.values()):
            raise RefusedError(_fatal(400, "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."))
        objects: list[tuple[str, int, Any]] = [(name, i, one) for name in ARRAYS for i, one in enumerate(body.get(name) or ())]
        call.rows = len(objects)
        if len(objects) > MAX_OBJECTS:
            raise RefusedError(_fatal(400, f"At most {MAX_OBJECTS} objects may be sent together."))
        identities = [_identity(one) for _, _, one in objects]
        users = self._users(identities)
        changed: dict[int, Record] = {}
        done: dict[str, int] = dict.fromkeys(ARRAYS, 0)
        errors: list[dict[str, Any]] = []
        events: list[Record] = []
        for position, ((array, index, one), identity) in enumerate(zip(objects, identities, strict=True)):
            why = self._trouble(call, array, one, identity, position)
            if why:
                errors.append({"type": why, "input_array": array, "index": index})
                continue
            done[array] += 1
            before = users.get(identity)
            user = before or self._new_user(call, one, identity, users)
            if user is None:
                continue
            if array == "attributes":
                self._change(call, user, one, identity[0], new=before is None)
            else:
                if before is None:
                    call.made(f"user/{user.id}")
                told = {key: value for key, value in one.items() if key not in IDENTIFIERS}
                events.append(self.store.make("event", {"name": one.get("name", "purchase"), **told, "user": user.id}, call.at))
                call.note("event", f"{array}/{user.id}/{digest(told)}")
            if user.changed_at == call.at:
                changed[user.id] = user
        self.store.save([*changed.values(), *events])
        counts = {f"{array}_processed": count for array, count in done.items() if body.get(array)}
        return JSONResponse({"message": "success", **counts, **({"errors": errors} if errors else {})}, 201)

    def _trouble(self, call: Call, array: str, one: Any, identity: tuple[str, str], position: int) -> str:
        if identity == NOBODY:
            return " or ".join(repr(name) for name in IDENTIFIERS) + " is required"
        for name in TEXTS:
            if one.get(name) is not None and not isinstance(one[name], str):
                return f"'{name}' is not a string"
        for name in NEEDED[array]:
            if one.get(name) is None:
                return f"'{name}' is required"
        if array != "attributes" and instant(str(one["time"])) is None:
            return "'time' is not a valid ISO 8601 time"
        fault = self.row_fault(call, identity[1], position)
        return f"The row was not taken ({fault.value})." if fault else ""

    def _users(self, identities: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Record]:
        """Users by their identifiers, oldest first where several have one."""
        wanted: dict[str, set[str]] = {}
        for name, value in identities:
            if name:
                wanted.setdefault(name, set()).add(value)
        found = {}
        same: dict[int, Record] = {}
        for name, values in wanted.items():
            hits = self._by_braze_id(values) if name == "braze_id" else self.store.find("user", name, values)
            found |= {(name, value): same.setdefault(records[0].id, records[0]) for value, records in hits.items()}
        return found

    def _by_braze_id(self, values: Iterable[str]) -> dict[str, list[Record]]:
        ids = {int(value, 16): value for value in values if len(value) == 24 and set(value) <= set("0123456789abcdef")}
        return {ids[record.id]: [record] for record in self.store.get("user", ids).values()}

    def _new_user(self, call: Call, one: Mapping[str, Any], identity: tuple[str, str], users: dict[tuple[str, str], Record]) -> Record | None:
        """The user an object makes, or None where it may only change one there is."""
        if identity[0] == "braze_id" or one.get("_update_existing_only", identity[0] == "user_alias"):
            return None
        user = users[identity] = self.store.make("user", {}, call.at)
        if identity[0] == "user_alias":
            user.body["user_aliases"] = [one["user_alias"]]
        else:
            user.body[identity[0]] = one[identity[0]]
        return user

    def _change(self, call: Call, user: Record, one: Mapping[str, Any], named: str, *, new: bool) -> None:
        """Sets, adds to, removes from and counts up attributes; null takes one away."""
        body = dict(user.body)
        for name, value in one.items():
            if name == named or name in NO_ATTRIBUTES:
                continue
            if value is None:
                body.pop(name, None)
            else:
                body[name] = _merged(body.get(name), value) if isinstance(value, dict) else value
        if new:
            call.made(f"user/{user.id}")
        elif body == user.body:
            return
        else:
            call.note("update", f"user/{user.id}", body)
        user.body, user.changed_at = body, call.at

    def _delete(self, call: Call) -> Response:
        body = call.object()
        kinds = {"external_ids": "external_id", "user_aliases": "user_alias", "braze_ids": "braze_id"}
        kinds |= {"email_addresses": "email", "phone_numbers": "phone"}
        given = [name for name in kinds if body.get(name)]
        if len(given) != 1 or not isinstance(body[given[0]], list) or len(body[given[0]]) > MAX_IDS:
            raise RefusedError(_fatal(400, f"Give up to {MAX_IDS} identifiers of one kind."))
        call.rows, name = len(body[given[0]]), kinds[given[0]]
        objects = [one if isinstance(one, dict) and name in one else {name: one} for one in body[given[0]]]
        found = {user.id: user for user in self._users(map(_identity, objects)).values()}
        self.store.delete(found.values())
        call.note_each("erase", (f"user/{user}" for user in found))
        return JSONResponse({"deleted": len(found), "message": "success"})

    def _export(self, call: Call) -> Response:
        body = call.object()
        fields, ids = _texts(body.get("fields_to_export")), _texts(body.get("external_ids"))
        if not fields:
            raise RefusedError(_fatal(400, "'fields_to_export' is required"))
        one = {"email": body.get("email_address"), "phone": body.get("phone"), "braze_id": body.get("braze_id")}
        objects = [{"external_id": one} for one in ids] + [{"user_alias": one} for one in _list(body.get("user_aliases"))]
        objects += [{name: value} for name, value in one.items() if value]
        if not objects or len(objects) > MAX_IDS:
            raise RefusedError(_fatal(400, f"Give 1 to {MAX_IDS} identifiers."))
        call.rows, found = len(objects), self._users(map(_identity, objects))
        users = {user.id: user for user in found.values()}
        missing = [value for value in ids if ("external_id", value) not in found]
        shown = [self._shown(user, fields) for user in users.values()]
        return JSONResponse({"message": "success", "users": shown, **({"invalid_user_ids": missing} if missing else {})})

    def _shown(self, user: Record, fields: Sequence[str]) -> dict[str, Any]:
        own = {*IDENTIFIERS, "user_aliases", "first_name", "last_name", "home_city", "country", "language"}
        custom = {name: value for name, value in user.body.items() if name not in own}
        known = {**user.body, "braze_id": f"{user.id:024x}", "created_at": iso(user.created_at), "custom_attributes": custom}
        return {name: known[name] for name in fields if name in known and (name in own or name in {"created_at", "custom_attributes"})}

    def _subscribe(self, call: Call) -> Response:
        groups = _list(call.object().get("subscription_groups"))
        if not groups or not all(isinstance(one, dict) for one in groups):
            raise RefusedError(_fatal(400, "'subscription_groups' is required"))
        for one in groups:
            ids, emails, phones = (_texts(one.get(name)) for name in ("external_ids", "emails", "phones"))
            if one.get("subscription_state") not in ("subscribed", "unsubscribed") or not 0 < len(ids) + len(emails) + len(phones) <= MAX_IDS:
                raise RefusedError(_fatal(400, "A state and up to 50 users are required."))
            call.rows += len(ids) + len(emails) + len(phones)
            objects = [{"external_id": x} for x in ids] + [{"email": x} for x in emails] + [{"phone": x} for x in phones]
            members = list(dict.fromkeys(user.id for user in self._users(map(_identity, objects)).values()))
            group, subscribed = self._group(str(one.get("subscription_group_id")), call.at), one["subscription_state"] == "subscribed"
            moved = self.store.list_add(group.id, members, call.at) if subscribed else self.store.list_remove(group.id, members)
            call.note_each(one["subscription_state"], (f"group/{group.id}/{member}" for member in moved))
        return JSONResponse({"message": "success"}, 201)

    def _subscription(self, call: Call) -> Response:
        one = {name: call.query(name) for name in ("external_id", "email", "phone") if call.query(name)}
        group, users = self._group(call.query("subscription_group_id"), call.at), self._users([_identity(one)])
        subscribed = self.store.listed(group.id, [user.id for user in users.values()])
        status = {value: "Subscribed" if user.id in subscribed else "Unsubscribed" for (_, value), user in users.items()}
        return JSONResponse({"message": "success", "status": status})

    def _group(self, name: str, at: int) -> Record:
        found = self.store.find("group", "name", [name])
        if found:
            return found[name][0]
        group = self.store.make("group", {"name": name}, at)
        self.store.save([group])
        return group


def _identity(one: Any) -> tuple[str, str]:
    """The identifier an object is about, its kind and value, or `NOBODY`."""
    for name in IDENTIFIERS if isinstance(one, dict) else ():
        value = one.get(name)
        if name == "user_alias" and isinstance(value, dict) and len(_texts([value.get("alias_name"), value.get("alias_label")])) == 2:
            return name, _alias(value)
        if isinstance(value, str) and value:
            return name, _normal(name, value)
    return NOBODY


def _merged(held: Any, value: dict[str, Any]) -> Any:
    """An attribute after a change that is an object: of a list, of a number, or the object itself."""
    if "add" in value or "remove" in value:
        gone = _list(value.get("remove"))
        kept = [item for item in _list(held) if item not in gone]
        for item in _list(value.get("add")):
            if item not in kept:
                kept.append(item)
        return kept
    if isinstance(value.get("inc"), int):
        return (held if isinstance(held, int) else 0) + value["inc"]
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str) and one]


def _normal(name: str, value: str) -> str:
    return value.lower() if name == "email" else value


def _alias(alias: Mapping[str, str]) -> str:
    return f"{alias['alias_label']}:{alias['alias_name']}"


def _agrees(person: Person) -> bool:
    stated = person.consents.get("marketing_email")
    return stated is not None and stated.state == "granted"


def _fatal(status: int, message: str) -> Response:
    return JSONResponse({"message": message, "errors": [message]}, status)


EMULATION = Braze
