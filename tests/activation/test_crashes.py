"""Deliveries killed with SIGKILL at every point, answers lost on top, on SQLite and Postgres: nobody is lost, doubled or wrongly removed.

`pytest -m crash` runs stories by dice; SEG_CRASHES says how many (default 500), SEG_CRASH_SEED where they start.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from connectors.sandbox.counting import Fault, Vendor
from connectors.types import Idempotency
from seg_assets.activation.ledger import Ledger

Make = Callable[..., Any]
A, B, C, D = Idempotency
POINTS = ("planned", "begun", "half sent", "killed by the vendor", "answered", "recorded")
JOB_POINTS = ("planned", "begun", "half sent", "killed by the vendor", "submitted", "handed in", "recorded")
MISHAPS: tuple[Fault, ...] = ("lose answer", "lose answer", "lose request", "busy", "error")
FOREIGN = "vip", "foreign@example.org"
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
FIRST, STORIES = int(os.environ.get("SEG_CRASH_SEED", "0")), int(os.environ.get("SEG_CRASHES", "500"))


class Killer:
    """Delivers in processes of their own."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("crash_child.py")
        self._process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def deliver(self, **task: Any) -> bool:
        """Whether the process lived to the end."""
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(task, self._process.stdin)
        self._process.stdin.flush()
        status = pickle.load(self._process.stdout)
        assert status in {0, signal.SIGKILL}, "the delivery failed: see standard error"
        return status == 0

    def close(self) -> None:
        self._process.communicate(pickle.dumps(None))


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    killer = Killer()
    yield killer
    killer.close()


@dataclass
class Story:
    """A shop, a vendor that counts, and deliveries that die."""

    shop: Any
    kind: Idempotency
    store: str
    folder: Path
    killer: Killer
    config: dict[str, Any]
    vendor: Vendor = field(init=False)
    ledger: Ledger = field(init=False)
    url: str = ""
    now: float = AS_OF.timestamp()

    def __post_init__(self) -> None:
        self.vendor = Vendor(self.kind, rows={FOREIGN: [{"tier": "theirs"}]})
        self.ledger = Ledger(self.store, "crm", "members")

    def deliver(self, point: str = "", nth: int = 0, faults: Callable[[int], Fault] = lambda _: "") -> bool:
        """One plan, delivered by a process that dies at a point; whether it lived."""
        requests = count()

        def fault(_: Any) -> Fault:
            n = next(requests)
            return "kill" if point == "killed by the vendor" and n == nth else faults(n)

        self.vendor.fault, self.now = fault, self.now + 3600
        rows = self.shop.outgoing(self.shop.planned(self.ledger))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
        return self.killer.deliver(
            kind=self.kind, point=point, nth=nth, config=self.config, store=self.store, url=self.url, folder=str(self.folder), now=self.now,
            as_of=AS_OF.isoformat(), rows=sink.getvalue().to_pybytes(),
        )  # fmt: skip

    def settle(self) -> None:
        """Good deliveries until nothing is planned that can be sent."""
        for _ in range(6):
            assert self.deliver()
            if set(self.shop.planned(self.ledger)["op_id"].to_pylist()) <= set(self.doubtful()):
                return

    def doubtful(self) -> dict[str, int]:
        return {row["op_id"]: row["person_id"] for row in self.ledger.operations().to_pylist() if row["state"] == "in_doubt"}

    def check(self) -> None:
        """Everything is as it should be. Where nobody can tell, that is visible, and it is as it should be once somebody has told."""
        self.settle()
        held, desired = self.vendor.held("vip"), self.shop.sendable()
        assert held.pop(FOREIGN[1]) == {"tier": "theirs"}, "somebody else's member was touched"
        assert not self.vendor.doubled
        assert self.ledger.first_fault() is None
        doubtful = self.doubtful()
        assert not doubtful or self.kind is D
        wrong = {key for key in {*held, *desired} if held.get(key) != desired.get(key)}
        assert wrong <= {self.shop.emails[person] for person in doubtful.values()}, "wrong, and nobody is told"
        assert set(self.ledger.states()) <= ({"acked", "in_doubt", "planned"} if doubtful else {"acked"}), "planned: what waits for a doubt"
        if doubtful:
            self.ledger.settle({op_id: bool(self.vendor.effects[op_id]) for op_id in doubtful}, AS_OF)
            self.check()


@pytest.fixture
def story(small_shop: Make, killer: Killer, tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def of(kind: Idempotency, store: str, persons: int = 6, **config: Any) -> Iterator[Story]:
        told = Story(small_shop(persons), kind, store, tmp_path, killer, config)
        with told.vendor.running() as told.url:
            yield told

    return of


def everything_at_once(told: Story) -> None:
    """Two leave, two change, two come."""
    told.shop.emails |= {p: f"p{p}.canary@example.org" for p in (7, 8)}
    told.shop.members["vip"], told.shop.tiers = {3, 4, 5, 6, 7, 8}, {3: "gold", 4: "gold"}


HEAVY = (pytest.mark.crash, pytest.mark.release)


def matrix(points: Sequence[str], kinds: Sequence[Idempotency]) -> Iterator[Any]:
    """Every point with every class on both stores. By default each point is met once on SQLite and every other on Postgres, by classes in turn."""
    for turn, point in enumerate(points):
        for store, (n, kind) in product(("sqlite", "postgres"), enumerate(kinds)):
            often = n == turn % len(kinds) and (store == "sqlite" or turn % 2 == 0)
            yield pytest.param(store, point, kind, marks=() if often else HEAVY, id=f"{point}-{kind.value}-{store}")


@pytest.mark.parametrize(("either_store", "point", "kind"), matrix(POINTS, [A, B, C, D]), indirect=["either_store"])
def test_a_delivery_killed_at_any_point_ends_right(either_store: str, point: str, kind: Idempotency, story: Make) -> None:
    with story(kind, either_store, max_batch=3) as told:
        assert told.deliver()
        everything_at_once(told)
        assert not told.deliver(point, 1, lambda n: "lose answer" if n == 0 else "")
        told.check()


@pytest.mark.parametrize(("either_store", "point", "kind"), matrix(JOB_POINTS, [A, D]), indirect=["either_store"])
def test_a_job_whose_process_is_killed_at_any_point_runs_once(either_store: str, point: str, kind: Idempotency, story: Make) -> None:
    with story(kind, either_store, max_job=3) as told:
        told.vendor.polls_needed = 2
        assert told.deliver()
        everything_at_once(told)
        assert not told.deliver(point, 1)
        told.check()


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=HEAVY) for seed in range(FIRST, FIRST + STORIES)])
def test_whatever_dies_and_is_lost_ends_right(seed: int, story: Make, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    dice = random.Random(seed)
    store = f"sqlite:///{tmp_path}/ops.sqlite" if dice.random() < 0.5 else request.getfixturevalue("database")
    kind, jobs = dice.choice(list(Idempotency)), dice.random() < 0.25
    config = {
        "max_batch": dice.randint(2, 5),
        "max_job": dice.randint(3, 6) if jobs else None,
        "concurrency": dice.choice([1, 2]) if kind in {A, B} else 1,
    }
    with story(kind, store, 12, **config) as told:
        told.vendor.polls_needed = dice.randint(0, 5) if jobs else 0
        for _ in range(dice.randint(2, 4)):
            told.shop.members["vip"] = {p for p in range(1, 13) if dice.random() < 0.6}
            told.shop.tiers = {p: dice.choice([None, "gold", "silver"]) for p in range(1, 13)}
            mishaps = {n: dice.choice(MISHAPS) for n in range(8) if dice.random() < 0.3}
            point = dice.choice(["", *(JOB_POINTS if jobs else POINTS)])
            told.deliver(point, dice.randint(0, 3), lambda n, mishaps=mishaps: mishaps.get(n, ""))
        told.check()
