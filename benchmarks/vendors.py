"""Speed of deliveries to the sandbox's stand-ins over real HTTP, one process each for client and stand-in.

    python benchmarks/vendors.py > benchmarks/results/vendors.md

`without limits`: batch upserts as fast as both sides can. A row is a person's record and, where the vendor keeps audiences apart, a membership; what the stand-in
changed is counted. `with limits`: calls that two client processes together make within a vendor's published rate, and the most the stand-in saw within any of its
windows: it must not be more than the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from connectors.registry import load_registry
from connectors.sandbox.faults import Dial
from connectors.sandbox.server import emulations, serving
from connectors.types import Context, Operation, OpKind, SystemClock, Verdict

VENDORS = ("braze", "customerio", "hubspot", "marketo", "salesforce", "webhook")
LIMITED = {"hubspot": "burst", "marketo": "burst"}
"""Vendors whose published rate one machine can reach, and the stand-in's window for it. Braze and Customer.io allow more rows a second than it can make."""
FIELDS = {"salesforce": {"LastName": "Smith", "MailingCity": "Graz"}, "hubspot": {"firstname": "Ann", "city": "Graz"}}
FIELDS |= {"marketo": {"firstName": "Ann", "city": "Graz"}, "braze": {"first_name": "Ann", "home_city": "Graz"}}


def config(vendor: str, url: str) -> dict[str, Any]:
    """Settings of a connector for its stand-in."""
    from connectors.braze.emulation import API_KEY
    from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY
    from connectors.hubspot.emulation import PRIVATE_APP_TOKEN
    from connectors.marketo import emulation as marketo
    from connectors.salesforce import emulation as salesforce
    from connectors.webhook.emulation import SECRET

    return {
        "braze": {"base_url": url, "api_key": API_KEY},
        "customerio": {"track_url": url, "app_url": url, "site_id": SITE_ID, "track_api_key": TRACK_KEY, "app_api_key": APP_KEY},
        "hubspot": {"base_url": url, "access_token": PRIVATE_APP_TOKEN, "calls_per_10s": 190},
        "marketo": {"base_url": url, "client_id": marketo.CLIENT, "client_secret": marketo.SECRET, "folder": 1},
        "salesforce": {"base_url": url, "client_id": salesforce.CLIENT, "client_secret": salesforce.SECRET},
        "webhook": {"url": f"{url}/deliver", "secret": SECRET, "max_batch": 1000},
    }[vendor]


class Hurried(SystemClock):
    """Waits are over at once, for where the client's own idea of the limits is not to be measured."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return super().now() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds


def serve(folder: Path, vendor: str, limits: bool) -> None:
    """A stand-in in this process: prints its address, and when its input ends, the most calls within any window."""
    (emulation,) = emulations(folder, [vendor])
    emulation.faults.turn(Dial(limits=limits))
    seen: dict[str, list[float]] = {name: [] for name in emulation.windows}
    for name, window in emulation.windows.items():
        take = window.take
        window.take = lambda now, take=take, name=name: (seen[name].append(now), take(now))[-1]  # type: ignore[method-assign]
    refused, limited = count(), emulation.limited
    emulation.limited = lambda call, window: (next(refused), limited(call, window))[-1]  # type: ignore[method-assign]
    with serving(emulation) as served:
        cpu = time.process_time()
        print(served.url(emulation), flush=True)
        sys.stdin.read()
        cpu, changes = time.process_time() - cpu, emulation.store.count_effects()
    windows = {
        name: {"most": _most(seen[name], window.seconds), "steady": _steady(seen[name], window.limit, window.seconds)}
        for name, window in emulation.windows.items()
        if seen[name]
    }
    print(json.dumps({"windows": windows, "refused": next(refused), "cpu": cpu, "changes": changes}), flush=True)


def _steady(times: Sequence[float], limit: int, seconds: float) -> float:
    """The share of a rate that was used once its first window was over: before, all of it may come at once."""
    later = [at for at in times if at > times[0] + seconds]
    return len(later) / (limit * (times[-1] - times[0] - seconds) / seconds) if later else 0.0


def _most(times: Sequence[float], seconds: float) -> int:
    """The most of some instants within any window of a length."""
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def deliver(vendor: str, url: str, home: Path, rows: int, seconds: float, part: int) -> None:
    """Delivers rows, or for so many seconds; prints rows acknowledged and seconds taken."""
    connector = load_registry().destination(vendor)
    destination: Any = connector(connector.config_model.model_validate(config(vendor, url)))  # type: ignore[call-arg]
    target = destination.objects()[0]
    context = Context(datetime.now(UTC), home, home, home=home, clock=SystemClock() if seconds else Hurried())
    warm = [Operation("warm", OpKind.ADD, "audience", f"warm-{part}@example.org", FIELDS.get(vendor, {"name": "Ann"}))]
    destination.deliver(target.name, warm, context)
    cpu, started, numbers = time.process_time(), time.perf_counter(), count()

    def send(start: int) -> int:
        size = target.max_batch if seconds else min(target.max_batch, rows - start)
        fields = FIELDS.get(vendor, {"name": "Ann"})
        batch = [Operation(f"{part}-{n}", OpKind.ADD, "audience", f"ann-{part}-{n}@example.org", fields) for n in range(start, start + size)]
        return sum(one.verdict is Verdict.ACKED for one in destination.deliver(target.name, batch, context).values())

    def lane(_: int) -> int:
        """One after the other, until there are no more rows or the time is over."""
        acked = 0
        while (start := next(numbers) * target.max_batch) < rows if not seconds else time.perf_counter() - started < seconds:
            acked += send(start if not seconds else next(numbers) * target.max_batch)
        return acked

    with ThreadPoolExecutor(target.concurrency) as pool:  # as many lanes as deliveries have
        acked = sum(pool.map(lane, range(target.concurrency)))
    took = time.perf_counter() - started
    print(json.dumps({"rows": acked, "seconds": took, "cpu": time.process_time() - cpu}), flush=True)


@contextmanager
def standing(vendor: str, folder: Path, limits: bool) -> Iterator[tuple[str, list[str]]]:
    """A stand-in in a process of its own: its address, and (afterwards) what it saw."""
    command = [sys.executable, __file__, "--serve", vendor, "--home", str(folder), *([] if limits else ["--no-limits"])]
    told: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
        assert process.stdout
        assert process.stdin
        yield process.stdout.readline().strip(), told
        process.stdin.close()
        told.append(process.stdout.read())


def client(vendor: str, url: str, home: Path, *, rows: int = 0, seconds: float = 0, part: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--deliver", vendor, "--url", url, "--home", str(home), "--rows", str(rows), "--seconds", str(seconds)]
    return subprocess.Popen([*command, "--part", str(part)], stdout=subprocess.PIPE, text=True, env=_environment())


def without_limits(vendor: str, rows: int) -> dict[str, Any]:
    """Rows per second of one client, and microseconds of CPU a row costs on either side."""
    with tempfile.TemporaryDirectory() as folder, standing(vendor, Path(folder) / "vendor", limits=False) as (url, told):
        process = client(vendor, url, Path(folder), rows=rows)
        done = json.loads(process.communicate()[0])
    there = json.loads(told[0])
    cpu = {"client": done["cpu"] / done["rows"] * 1e6, "stand_in": there["cpu"] / done["rows"] * 1e6}
    rate, changes = done["rows"] / done["seconds"], round(there["changes"] / done["rows"])
    return {"vendor": vendor, "rows": done["rows"], "rows_per_s": rate, "changes": changes, "changes_per_s": rate * changes, **cpu}


def with_limits(vendor: str, seconds: float) -> dict[str, Any]:
    """What two clients at once make of a rate."""
    with tempfile.TemporaryDirectory() as folder:
        (emulation,) = emulations(Path(folder) / "told", [vendor])
        window = emulation.windows[LIMITED[vendor]]
        with standing(vendor, Path(folder) / "vendor", limits=True) as (url, told):
            processes = [client(vendor, url, Path(folder), seconds=seconds, part=part) for part in (1, 2)]
            done = [json.loads(process.communicate()[0]) for process in processes]
        found = json.loads(told[0])
    rows = sum(one["rows"] for one in done) / max(one["seconds"] for one in done)
    limit = f"{window.limit:,} calls in {window.seconds:g} s"
    return {"vendor": vendor, "limit": limit, "rows_per_s": rows, "refused": found["refused"], **found["windows"][LIMITED[vendor]]}


def report(rows: int, seconds: float, vendors: Sequence[str]) -> str:
    lines = ["# Deliveries to the sandbox", "", f"`python benchmarks/vendors.py --rows {rows} --seconds {seconds:g}`, {_machine()}.", ""]
    lines += [
        "## Without limits",
        "",
        "| vendor | rows | rows/s | upserts a row makes | upserts/s | client µs/row | stand-in µs/row |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for vendor in vendors:
        one = without_limits(vendor, rows)
        made = f"{one['changes']} | {one['changes_per_s']:,.0f}"
        lines.append(f"| {vendor} | {one['rows']:,} | {one['rows_per_s']:,.0f} | {made} | {one['client']:.0f} | {one['stand_in']:.0f} |")
        print(lines[-1], file=sys.stderr)
    lines += [
        "",
        "## With the published limits, two clients at once",
        "",
        "| vendor | limit | used | most in any window | refused | rows/s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for vendor in LIMITED if seconds else ():
        one = with_limits(vendor, seconds)
        lines.append(f"| {vendor} | {one['limit']} | {one['steady']:.0%} | {one['most']:,} | {one['refused']} | {one['rows_per_s']:,.0f} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines) + "\n"


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("--rows", 100_000), ("--seconds", 60.0), ("--part", 0)):
        parser.add_argument(name, type=type(default), default=default)
    for name in ("--serve", "--deliver", "--url", "--home"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--no-limits", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--vendors", nargs="*", default=VENDORS)
    given = parser.parse_args()
    if given.serve:
        serve(Path(given.home), given.serve, not given.no_limits)
    elif given.deliver:
        deliver(given.deliver, given.url, Path(given.home), given.rows, given.seconds, given.part)
    else:
        print(report(given.rows, given.seconds, given.vendors), end="")


if __name__ == "__main__":
    main()
