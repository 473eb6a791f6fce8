"""A small world of persons, a real receiver, and deliveries from one to the other."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.types import Context, Verdict
from connectors.webhook import WebhookDestination
from connectors.webhook.emulation import Receiver, Running, running
from seg_assets.activation import Audience, Target, plan
from seg_assets.activation.deliver import Delivered, deliver, outgoing
from seg_assets.activation.ledger import Ledger
from seg_assets.lake import Engine
from seg_assets.lake.functions import keyed_hash
from seg_assets.project.destinations import OnLeave
from seg_assets.schema.tables import PERSON_CONSENTS, PLAN, VAULT

ENGINE = Engine()
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
SECRET = "a signing key for tests"
KEY = b"a key for tests"


@dataclass
class World:
    """Who is in which audience, what is known of them, and what a destination shall be told.

    Args:
        members: audience to person ids.
        emails: person to address; persons without one are not in the vault.
        tiers: person to the one column that is sent along.
        consents: (person, purpose) that are granted.
        past: addresses that persons had before and are still known.
    """

    members: dict[str, set[int]] = field(default_factory=dict)
    emails: dict[int, str] = field(default_factory=dict)
    tiers: dict[int, str] = field(default_factory=dict)
    consents: set[tuple[int, str]] = field(default_factory=set)
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    small: set[str] = field(default_factory=set)
    holdout: set[int] = field(default_factory=set)
    past: dict[int, str] = field(default_factory=dict)
    on_leave: OnLeave = "remove"
    match_key: str = "email"
    max_remove: float = 0.2

    @classmethod
    def of(cls, persons: int, audience: str = "vip") -> World:
        people = range(1, persons + 1)
        return cls({audience: set(people)}, {p: f"p{p}.canary@example.org" for p in people})

    def planned(self, ledger: Ledger) -> ibis.Table:
        """The plan as it rests in the lake between planning and delivery."""
        operations = table(ledger.operations())
        pairs = [(p, a) for a, members in self.members.items() for p in members]
        found = plan(
            Target("crm", "members", self.match_key, {"tier": "tier"}, self.max_remove, on_leave=self.on_leave),
            [Audience(a, self.needs.get(a, ()), a in self.small) for a in self.members],
            memberships=table(
                pa.table(
                    {
                        "person_id": pa.array([p for p, _ in pairs], pa.int64()),
                        "segment": pa.array([a for _, a in pairs], pa.string()),
                        "holdout": pa.array([p in self.holdout for p, _ in pairs], pa.bool_()),
                    }
                )
            ),
            people=self.people(),
            reach=self._reach(),
            consents=table(
                pa.Table.from_pylist(
                    [{"person_id": p, "purpose": purpose, "granted": True, "since": AS_OF} for p, purpose in self.consents],
                    PERSON_CONSENTS.schema.to_pyarrow(),
                )
            ),
            committed=table(ledger.committed()),
            unsettled=table(ledger.unsettled()),
            rejected=operations.filter(operations.state == "rejected").select("op_id"),
            former=self.former(),
        )
        assert found.schema() == PLAN.schema
        return table(ENGINE.connection.to_pyarrow(found))

    def people(self) -> ibis.Table:
        everybody = sorted({p for members in self.members.values() for p in members} | set(self.emails) | set(self.tiers))
        tiers = [self.tiers.get(p) for p in everybody]
        return table(pa.table({"person_id": pa.array(everybody, pa.int64()), "tier": pa.array(tiers, pa.string())}))

    def vault(self) -> ibis.Table:
        return table(pa.Table.from_pylist([{"person_id": p, "email": e} for p, e in self.emails.items()], VAULT.schema.to_pyarrow()))

    def former(self) -> ibis.Table | None:
        rows = [{"person_id": person, "key": email} for person, email in self.past.items()]
        known = table(pa.Table.from_pylist(rows)) if rows else None
        return known.mutate(reach_hash=keyed_hash(KEY)(known.key)) if known is not None else None

    def _reach(self) -> ibis.Table:
        source = self.people() if self.match_key == "person_id" else self.vault()
        return source.select("person_id", reach_hash=keyed_hash(KEY)(source[self.match_key].cast("string")))

    def sendable(self, audience: str = "vip") -> dict[str, dict[str, Any]]:
        """What the receiver shall hold: match key to fields."""
        keys = self.emails if self.match_key == "email" else {p: str(p) for p in self.members[audience]}
        allowed = {p for p in self.members[audience] if all((p, purpose) in self.consents for purpose in self.needs.get(audience, ()))}
        kept = set() if audience in self.small else allowed - self.holdout
        return {keys[p]: {"tier": self.tiers.get(p)} for p in kept if p in keys}

    def deliver(
        self, ledger: Ledger, destination: WebhookDestination, context: Context, planned: ibis.Table | None = None, **given: Any
    ) -> Delivered:
        planned = self.planned(ledger) if planned is None else planned
        done = table(ledger.operations())
        acked = done.filter(done.state == Verdict.ACKED.value).select("op_id")
        rows = outgoing(planned, acked, self.people(), self.vault(), self.match_key, {"tier": "tier"}, former=self.former())
        return deliver(rows, destination, destination.objects()[0], ledger, context, **given)


@dataclass
class SmallShop(World):
    """A world whose plans are made by what `plan` boils down to for one person and audience, person by person: for tests that need hundreds of deliveries.

    That both make the same plans is a test of its own.
    """

    def planned(self, ledger: Ledger) -> pa.Table:  # type: ignore[override]
        wanted = {(a, p): _md5(f"{self.emails[p]}={self.tiers.get(p)}") for a, members in self.members.items() for p in members if p in self.emails}
        held = {(r["audience"], r["person_id"]): r for r in ledger.committed().to_pylist()}
        open_ = {(r["audience"], r["person_id"]): r for r in ledger.unsettled().to_pylist()}
        rejected = set(ledger.rejected("").to_pydict()["op_id"])
        rows = [step(*place, wanted.get(place), held.get(place, {}), open_.get(place, {})) for place in {*wanted, *held, *open_}]
        due = [row for row in rows if row and row["op_id"] not in rejected]
        return pa.Table.from_pylist(due, pa.schema(PLAN_SCHEMA))

    def outgoing(self, planned: pa.Table) -> pa.Table:
        rows = sorted(planned.to_pylist(), key=lambda r: (r["op"] != "remove", r["audience"], r["person_id"]))
        for row in rows:
            row |= {"key": self.emails.get(row["person_id"]), "field_tier": self.tiers.get(row["person_id"])}
        schema = pa.schema([*PLAN_SCHEMA, ("key", pa.string()), ("field_tier", pa.string())])
        return pa.Table.from_pylist(rows, schema)

    def deliver(self, ledger: Ledger, destination: Any, context: Context, planned: Any = None, **given: Any) -> Delivered:
        rows = self.outgoing(self.planned(ledger) if planned is None else planned)
        return deliver(iter(rows.to_batches()), destination, destination.objects()[0], ledger, context, **given)


PLAN_SCHEMA = [(name, pa.string()) for name in ("op_id", "op", "audience", "payload_hash")] + [("person_id", pa.int64()), ("generation", pa.int64())]


def step(audience: str, person: int, wanted: str | None, held: Mapping[str, Any], open_: Mapping[str, Any]) -> dict[str, Any] | None:
    """The operation that a person needs in an audience, given what is wanted, what is held and what is unsettled."""
    has = held.get("payload_hash")
    if open_ and ((open_["op"] != "remove" and open_["payload_hash"] == wanted) if wanted else open_["op"] == "remove"):
        op, hash_, generation = open_["op"], open_["payload_hash"], open_["generation"]
    else:
        generation = (open_.get("generation") or held.get("generation") or 0) + 1
        if wanted:
            op, hash_ = ("add" if has is None else "update" if open_ or has != wanted else "none"), wanted
        else:
            op, hash_ = ("remove" if has or open_ else "none"), has or open_.get("payload_hash")
    if op == "none":
        return None
    identity = {"op": op, "audience": audience, "person_id": person, "payload_hash": hash_, "generation": generation}
    return {**identity, "op_id": _md5("\x1f".join(["crm", "members", *map(str, identity.values())]))}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def table(rows: pa.Table) -> ibis.Table:
    return ENGINE.from_arrow(rows)


def rows_of(expr: ibis.Table) -> list[dict[str, Any]]:
    return sorted(ENGINE.connection.to_pyarrow(expr).to_pylist(), key=lambda r: (r["audience"], r["person_id"]))


@pytest.fixture
def world() -> Callable[..., World]:
    return World.of


@pytest.fixture
def small_shop() -> Callable[..., SmallShop]:
    return SmallShop.of


@pytest.fixture
def operations() -> Callable[..., list[tuple[Any, ...]]]:
    """A plan as (op, person, why blocked), or the given columns."""

    def of(planned: ibis.Table, columns: Sequence[str] = ("op", "person_id", "blocked")) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in rows_of(planned)]

    return of


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ops.sqlite"


@pytest.fixture
def ledger(ledger_file: Path) -> Ledger:
    return Ledger(f"sqlite:///{ledger_file}", "crm", "members")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(AS_OF, tmp_path, tmp_path)


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    return Receiver(tmp_path / "receiver" / "receiver.db", SECRET, clock=AS_OF.timestamp)


@pytest.fixture
def served(receiver: Receiver) -> Iterator[Running]:
    with running(receiver) as served:
        yield served


@pytest.fixture
def webhook() -> Callable[..., WebhookDestination]:
    def at(url: str, **config: Any) -> WebhookDestination:
        settings: Mapping[str, Any] = {"url": url, "secret": SECRET, "timeout": 5, "max_batch": 10, "at_once": 1} | config
        return WebhookDestination(WebhookDestination.config_model(**settings), AS_OF.timestamp)

    return at


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real server of our own on this machine, without a database's name."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), shutil.which("initdb")]
    if not found[-1] and not found[:-1]:
        pytest.skip("no PostgreSQL server here: install Debian's package postgresql")
    programs = Path(str(found[0] or found[-1])).parent
    user = next((u.pw_name for u in pwd.getpwall() if u.pw_name in {"postgres", "nobody"}), None) if os.getuid() == 0 else None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="seg-postgres-"))
    if user:
        shutil.chown(folder, user)  # the server refuses to run as root

    def run(program: str, *arguments: str) -> None:
        subprocess.run([programs / program, "-D", folder / "data", *arguments], check=True, capture_output=True, user=user, cwd=folder, timeout=120)

    run("initdb", "--no-sync", "--auth=trust", "--username=seg", "--encoding=UTF8", "--locale=C")
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-F -h 127.0.0.1 -p {port} -k {folder}")
    try:
        yield f"postgresql+psycopg://seg@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)


@pytest.fixture
def database(postgres: str) -> str:
    """The address of an empty database."""
    with sa.create_engine(f"{postgres}/postgres").begin() as connection:
        connection.exec_driver_sql("drop schema public cascade")
        connection.exec_driver_sql("create schema public")
    return f"{postgres}/postgres"


@pytest.fixture(params=["sqlite", "postgres"])
def either_store(request: pytest.FixtureRequest, ledger_file: Path) -> str:
    """The address of an empty operational store, of either kind."""
    return f"sqlite:///{ledger_file}" if request.param == "sqlite" else request.getfixturevalue("database")
