"""Speed and exactness of activation.

    python benchmarks/activation.py --persons 1000000 --rows 10000

Prints one JSON object. `plan`: a plan of as many memberships, first and unchanged, in a process of its own. `ledger`: an operation's whole life (taken up,
sending, acknowledged, receipt) per second, by operations per batch. `strategies`: what a vendor holds in the end, and what it was told twice, after runs with
faults; each strategy meets the same dice. `--postgres URL` measures the ledger there too.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing as mp
import os
import random
import resource
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from connectors.sandbox.counting import CountingConfig, CountingDestination, Fault, Vendor
from connectors.types import Context, Idempotency, Operation, OpKind, Outcome, Verdict
from seg_assets.activation.deliver import deliver
from seg_assets.activation.ledger import Ledger, connector_version
from seg_assets.activation.statements import COLUMNS

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
PIECE = 122_880
"""Rows of a row group."""


def members(count: int, versions: Sequence[int] | None = None) -> dict[str, pa.Table]:
    """Memberships of one audience, and what is known of its members; in pieces, as the lake reads them."""
    pieces = [_members(range(start, min(start + PIECE, count + 1)), versions) for start in range(1, count + 1, PIECE)]
    return {name: pa.concat_tables([piece[name] for piece in pieces]) for name in pieces[0]}


def _members(persons: range, versions: Sequence[int] | None) -> dict[str, pa.Table]:
    ids = pa.array(persons, pa.int64())
    tiers = [f"tier {versions[i - 1] if versions else i % 5}" for i in persons]
    return {
        "memberships": pa.table({"person_id": ids, "segment": pa.array(["vip"] * len(persons))}),
        "people": pa.table({"person_id": ids, "tier": pa.array(tiers)}),
        "reach": pa.table({"person_id": ids, "reach_hash": pa.array([hashlib.md5(str(i).encode()).hexdigest() for i in persons])}),
    }


def vault(count: int) -> pa.Table:
    return pa.table({"person_id": range(1, count + 1), "email": [f"p{i}@example.org" for i in range(1, count + 1)]})


def planned(known: Mapping[str, pa.Table], ledger: Ledger, version: str = "") -> Any:
    """The plan, as the lake would hold it, and the engine it is in."""
    from seg_assets.activation import Audience, Target, plan
    from seg_assets.lake import Engine
    from seg_assets.schema.tables import PERSON_CONSENTS

    engine = Engine()
    table = engine.from_arrow
    found = plan(
        Target("crm", "members", "email", {"tier": "tier"}),
        [Audience("vip")],
        memberships=table(known["memberships"]), people=table(known["people"]), reach=table(known["reach"]),
        consents=table(PERSON_CONSENTS.schema.to_pyarrow().empty_table()), committed=table(ledger.committed()), unsettled=table(ledger.unsettled()),
        rejected=table(ledger.rejected(version)),
    )  # fmt: skip
    return found.cache(), engine


# Speed


def plan_speed(count: int, url: str) -> dict[str, float]:
    known = members(count)
    pa.default_memory_pool().release_unused()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    found, _ = planned(known, Ledger(url, "crm", "members"))
    rows = int(found.count().execute())
    seconds, cpu = round(time.perf_counter() - started, 1), round(time.process_time() - cpu, 1)
    return {"rows": rows, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak(), "of_it_inputs_mb": before // 1024}


def acknowledge(count: int, url: str) -> None:
    """A ledger in which everything of the plan is acknowledged."""
    found, engine = planned(members(count), Ledger(url, "crm", "members"))
    with Ledger(url, "crm", "members").claim(AS_OF) as claim:
        for rows in engine.connection.to_pyarrow_batches(found.select(*COLUMNS), chunk_size=50_000):
            known = claim.take(rows)
            claim.begin([k.id for k in known], {})
            claim.record({k.id: Outcome(Verdict.ACKED) for k in known}, {k.id: k.op_id for k in known}, repeatable=True)


def ledger_speed(url: str, batch: int, seconds: float = 8) -> dict[str, int]:
    """Operations through their whole life, per second and per second of CPU time (without that of a server)."""
    ledger, acked, first = Ledger(url, "crm", f"batches of {batch}"), Outcome(Verdict.ACKED), 0
    done, wall, cpu = 0, 0.0, 0.0
    with ledger.claim(AS_OF) as claim:
        while wall < seconds:
            rows = _planned_rows(range(first, first := first + 50_000), batch)
            started, cpu_started = time.perf_counter(), time.process_time()
            known = claim.take(rows)
            for start in range(0, len(known), batch):
                part = known[start : start + batch]
                claim.begin([k.id for k in part], {})
                claim.record({k.id: acked for k in part}, {k.id: k.op_id for k in part}, repeatable=True)
            done, wall, cpu = done + len(rows), wall + time.perf_counter() - started, cpu + time.process_time() - cpu_started
    return {"per_second": int(done / wall), "per_cpu_second": int(done / cpu)}


def _planned_rows(persons: range, batch: int) -> pa.Table:
    hashes = [hashlib.md5(f"{batch}/{i}".encode()).hexdigest() for i in persons]
    same = {name: [value] * len(persons) for name, value in {"op": "add", "audience": "vip", "generation": 1}.items()}
    return pa.table({"op_id": hashes, "person_id": pa.array(persons, pa.int64()), "payload_hash": hashes, **same})


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# Exactness


class Listening(Vendor):
    """Knows ids, and counts what it is told again although it was the last thing told about a key."""

    def __init__(self, kind: Idempotency, refused: set[str]) -> None:
        super().__init__(kind, refused=refused)
        self.last: dict[str, Any] = {}
        self.told_twice = 0

    def apply(self, operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for one in operations:
            before = self.effects[one["op_id"]]
            told |= super().apply([one])
            if self.effects[one["op_id"]] > before:
                self.told_twice += self.last.get(one["key"]) == (one["op"], one["fields"])
                self.last[one["key"]] = one["op"], one["fields"]
        return told


@dataclass
class Trial:
    """One strategy's deliveries in one sequence of runs. `state` is a file or folder of its own."""

    url: str
    kind: Idempotency
    state: Path
    crash: float
    dice: random.Random = field(default_factory=random.Random)

    def send(self, rows: Mapping[str, str], size: int) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """Batches and the verdicts on their keys, as a tool without operation ids sends them. May die after any batch."""
        destination = self.destination(size)
        for start in range(0, len(rows), size):
            part = dict(list(rows.items())[start : start + size])
            operations = [Operation(uuid.UUID(int=self.dice.getrandbits(128)).hex, OpKind.ADD, "vip", k, {"tier": v}) for k, v in part.items()]
            outcomes = destination.deliver("members", operations, Context(AS_OF, self.state, self.state))
            self.maybe_die(size)
            yield part, {o.key: outcomes[o.op_id].verdict.value for o in operations}

    def destination(self, size: int) -> CountingDestination:
        return CountingDestination(CountingConfig(url=self.url, kind=self.kind, max_batch=size))

    def maybe_die(self, size: int) -> None:
        if self.dice.random() < self.crash * size / 100:
            os.kill(os.getpid(), signal.SIGKILL)

    def load(self) -> dict[str, str]:
        file = self.state / "state.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def save(self, state: Mapping[str, str]) -> None:
        new = self.state / "new.json"
        new.write_text(json.dumps(state))
        new.replace(self.state / "state.json")


def fingerprint_first(trial: Trial, desired: Mapping[str, str]) -> None:
    """What changed since the last extract is sent; the fingerprints are saved before."""
    before = trial.load()
    trial.save(desired)
    for _ in trial.send({k: v for k, v in desired.items() if before.get(k) != v}, 100):
        pass


def row_by_row(trial: Trial, desired: Mapping[str, str]) -> None:
    """One request per row; the rows that were taken are saved at the end."""
    before = trial.load()
    for part, verdicts in trial.send({k: v for k, v in desired.items() if before.get(k) != v}, 1):
        before |= {k: v for k, v in part.items() if verdicts[k] == "acked"}
    trial.save(before)


def key_ledger(trial: Trial, desired: Mapping[str, str]) -> None:
    """Keys that were taken once are done."""
    before = trial.load()
    for part, verdicts in trial.send({k: v for k, v in desired.items() if k not in before}, 100):
        before |= {k: v for k, v in part.items() if verdicts[k] == "acked"}
        trial.save(before)


class Mortal(CountingDestination):
    """May die after any batch."""

    trial: Trial

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        outcomes = super().deliver(object, batch, context)
        self.trial.maybe_die(len(batch))
        return outcomes


def engine(trial: Trial, desired: Mapping[str, str]) -> None:
    """This project's plan, ledger and delivery."""
    ledger = Ledger(f"sqlite:///{trial.state}/ops.sqlite", "crm", "members")
    destination = Mortal(trial.destination(100).config)
    destination.trial = trial
    with pa.OSFile(str(trial.state / "rows.arrow")) as file:
        rows = pa.ipc.open_stream(file).read_all()
    deliver(iter(rows.to_batches()), destination, destination.objects()[0], ledger, Context(AS_OF, trial.state, trial.state))


def prepare(trial: Trial, versions: Sequence[int]) -> None:
    """The plan's operations with their payloads, for the process that delivers."""
    from seg_assets.activation.deliver import outgoing

    known = members(len(versions), versions)
    ledger = Ledger(f"sqlite:///{trial.state}/ops.sqlite", "crm", "members")
    found, made = planned(known, ledger, connector_version(Mortal))
    nothing = made.from_arrow(pa.table({"op_id": pa.array([], pa.string())}))
    rows = outgoing(found, nothing, made.from_arrow(known["people"]), made.from_arrow(vault(len(versions))), "email", {"tier": "tier"})
    batches = list(rows)
    if batches:
        with pa.OSFile(str(trial.state / "rows.arrow"), "wb") as file, pa.ipc.new_stream(file, batches[0].schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
    else:
        (trial.state / "rows.arrow").unlink(missing_ok=True)


STRATEGIES: dict[str, tuple[Callable[[Trial, Mapping[str, str]], None], Idempotency]] = {
    "fingerprint saved before sending": (fingerprint_first, Idempotency.DEDUPLICATED),
    "one request per row, saved at the end": (row_by_row, Idempotency.DEDUPLICATED),
    "ledger of keys": (key_ledger, Idempotency.DEDUPLICATED),
    "seg-assets": (engine, Idempotency.DEDUPLICATED),
    "seg-assets, vendor that knows no ids (class D)": (engine, Idempotency.APPEND),
}


SEEDS = {row_by_row: 1, engine: 3}
"""One request per row takes a minute, and the engine's runs a quarter of it; the others a few seconds."""


def trial(name: str, rows: int, seed: int, crash: float) -> dict[str, float]:
    """Six runs at 5% change with faults, then two quiet ones."""
    strategy, kind = STRATEGIES[name]
    dice = random.Random(seed)
    versions = [0] * rows
    vendor = Listening(kind, {f"p{i}@example.org" for i in range(1, rows + 1) if dice.random() < 0.01})
    faulty = random.Random(seed)

    def fault(_: Sequence[str]) -> Fault:
        draw = faulty.random()
        return "error" if draw < 0.03 else "lose answer" if draw < 0.06 else ""

    with tempfile.TemporaryDirectory() as folder, vendor.running() as url:
        one = Trial(url, kind, Path(folder), crash, random.Random(seed))
        for run in range(8):
            if run >= 6:
                vendor.fault, one.crash = lambda _: "", 0.0
            else:
                vendor.fault = fault
                versions = [v + (dice.random() < 0.05) for v in versions]
            desired = {f"p{i}@example.org": f"tier {v}" for i, v in enumerate(versions, 1)}
            if strategy is engine:
                prepare(one, versions)
                if not (one.state / "rows.arrow").exists():
                    continue
            one.dice = random.Random(f"{seed}/{run}")
            process = mp.get_context("forkserver").Process(target=strategy, args=(one, desired))
            process.start()
            process.join()
            if process.exitcode not in {0, -signal.SIGKILL}:
                raise RuntimeError(f"{name} failed")
        held = vendor.held("vip")
        wrong = sum(held.get(k, {}).get("tier") != v for k, v in desired.items() if k not in vendor.refused)
        states = Ledger(f"sqlite:///{folder}/ops.sqlite", "crm", "members").states() if strategy is engine else {}
    return {"wrong": wrong, "told_twice": vendor.told_twice, "in_doubt": states.get("in_doubt", 0), "requests": vendor.requests}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, help="for every strategy; by default as many as fit into about half a minute")
    parser.add_argument("--crash", type=float, default=0.01, help="share of batches of 100 rows after which the process is killed")
    parser.add_argument("--postgres", help="address of an empty database")
    parser.add_argument("--only", choices=("plan", "ledger", "strategies"), action="append", help="one part, or several; by default all")
    options = parser.parse_args()
    mp.set_forkserver_preload(["__main__", "seg_assets.activation.deliver", "connectors.sandbox.counting"])
    parts = {"plan": plans, "ledger": ledgers, "strategies": strategies}
    result = {name: parts[name](options) for name in options.only or parts}
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(result, indent=1))


def told(name: str, found: Any) -> Any:
    """What was found, said while the rest still runs."""
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def alone(task: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a task in a process of its own."""
    with ProcessPoolExecutor(1, mp.get_context("spawn")) as pool:
        return pool.submit(task, *arguments).result()


def plans(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ops.sqlite"
        first = told("first plan", alone(plan_speed, options.persons, url))
        alone(acknowledge, options.persons, url)
        return {"first": first, "unchanged": told("unchanged plan", alone(plan_speed, options.persons, url))}


def ledgers(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        stores = {"sqlite": f"sqlite:///{folder}/ops.sqlite"} | ({"postgres": options.postgres} if options.postgres else {})
        batches = (100, 500, 1000, 10_000)
        return {name: {n: told(f"{name}, {n} per batch", alone(ledger_speed, url, n)) for n in batches} for name, url in stores.items()}


def strategies(options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in STRATEGIES:
        for label, crash in (("with crashes", options.crash), ("without", 0.0)):
            found = [trial(name, options.rows, seed, crash) for seed in range(options.seeds or SEEDS.get(STRATEGIES[name][0], 4))]
            mean = {key: round(sum(f[key] for f in found) / len(found), 1) for key in found[0]} | {"seeds": len(found)}
            result.setdefault(name, {})[label] = told(f"{name}, {label}", mean)
    return result


if __name__ == "__main__":
    main()
