"""A full refresh from files to segments, beside the usual pandas way and beside a floor: one hand-written DuckDB script for the feature table alone.

    python benchmarks/refresh.py --customers 100000 --data /tmp/shop

makes the shop's files once (`python -m connectors.shop`), then runs each contestant in a process of its own on the same files and prints a Markdown table.
Results that were kept are in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STREAMS = {
    "crm": "contacts",
    "storefront": "contacts",
    "tracking": "events",
    "orders": "events",
    "email": "events",
    "consents": "consents",
    "enrichment": "enrichments",
    "mentions": "mentions",
}
AS_OF = "2026-07-01T00:00:00Z"
UP_TO_PROFILES = ("raw", "unified", "identity", "profiles")
UP_TO_CLUSTERS = (*UP_TO_PROFILES, "scores", "clusters")
WHOLE_SILHOUETTE = 200_000
"""Persons up to whom the usual way scores everybody; beyond, where the square of their number takes hours, a sample of 20,000."""
CONTESTANTS = {
    "ours": "seg run, everything",
    "floor": "one DuckDB script, features only",
    "stored": "the same script, raw files and typed events stored as well",
    "usual": "pandas and scikit-learn, features and clusters",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--customers", type=int, default=100_000)
    arguments.add_argument("--data", type=Path, help="folder of the shop's files; made if missing (default: a temporary one)")
    arguments.add_argument("--only", choices=list(CONTESTANTS), action="append")
    arguments.add_argument("--contestant", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.contestant:
        print(json.dumps(globals()[given.contestant](given.data)))
        return
    data = given.data or Path(tempfile.mkdtemp(prefix="shop-"))
    if not (data / "tracking").exists():
        subprocess.run([sys.executable, "-m", "connectors.shop", "--customers", str(given.customers), "--out", str(data)], check=True)
    results = {}
    for name in given.only or CONTESTANTS:
        started = time.monotonic()
        done = subprocess.run([sys.executable, __file__, "--contestant", name, "--data", str(data)], stdout=subprocess.PIPE, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": round(time.monotonic() - started, 1)}
        print(f"{name}: {results[name]['process_seconds']} s", file=sys.stderr)
    print(report(given.customers, data, results))


def report(customers: int, data: Path, results: dict[str, dict]) -> str:
    """The results as Markdown, with machine and date."""
    import pyarrow.parquet as pq

    events = sum(pq.read_metadata(f).num_rows for s in ("tracking", "orders", "email") for f in (data / s).glob("*.parquet"))
    lines = [
        f"## {customers:,} customers, {events:,} events",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, {_cores()} cores, Python {platform.python_version()}. Wall seconds; peak memory of the process.",
        "",
        "| contestant | wall s | peak MB |",
        "|---|---:|---:|",
    ]
    lines += [f"| {CONTESTANTS[n]} | {r['seconds']:.1f} | {r['peak_mb']:,} |" for n, r in results.items()]
    if "ours" in results:
        lines += ["", "| layer | wall s | peak MB |", "|---|---:|---:|"]
        lines += [f"| {layer} | {v['seconds']:.1f} | {v['peak_mb']:,} |" for layer, v in results["ours"]["layers"].items()]
        profiles, clusters = (_seconds(results["ours"]["layers"], layers) for layers in (UP_TO_PROFILES, UP_TO_CLUSTERS))
        if "floor" in results:
            lines += ["", f"Up to and including profiles: {profiles:.1f} s, {profiles / results['floor']['seconds']:.2f} x the floor."]
        if "usual" in results:
            usual = results["usual"]["seconds"]
            lines += [
                "",
                f"The usual way takes {usual / clusters:.1f} x as long as up to and including clusters, {usual / results['ours']['seconds']:.1f} x the whole.",
            ]
    return "\n".join(lines)


def _seconds(measured: dict[str, dict], layers: Sequence[str]) -> float:
    """What some layers took, their checks included."""
    return sum(one["seconds"] for layer, one in measured.items() if layer.partition(" ")[0] in layers)


def ours(data: Path) -> dict:
    """The product: a project on the files, everything refreshed, time and memory per layer."""
    from seg_assets.cli.refresh import refresh
    from seg_assets.graph import Graph
    from seg_assets.project.load import load_project

    folder = Path(tempfile.mkdtemp(prefix="refresh-"))
    _project(folder, data)
    graph = Graph.of(load_project(folder))
    seconds: dict[str, float] = defaultdict(float)
    peaks: dict[str, int] = defaultdict(int)
    last = time.monotonic()

    def on_step(_: int):
        nonlocal last
        last = time.monotonic()
        _reset_peak()

        def step(name: str, worked: bool) -> None:
            nonlocal last
            layer = name.split("/", maxsplit=1)[0] + (" (checks)" if name.endswith(("contract", "share", "all_fresh")) else "")
            seconds[layer] += time.monotonic() - last
            peaks[layer] = max(peaks[layer], _peak_mb())
            last = time.monotonic()
            _reset_peak()
            print(f"  {name} {seconds[layer]:.1f}", file=sys.stderr)

        return step

    started = time.monotonic()
    done = refresh(graph, as_of=None, select=None, on_step=on_step)
    total = time.monotonic() - started
    shutil.rmtree(folder)
    if not done.ok:
        raise SystemExit(f"the refresh failed: {done.failures}")
    return {
        "seconds": total,
        "peak_mb": max(peaks.values()),
        "layers": {layer: {"seconds": s, "peak_mb": peaks[layer]} for layer, s in seconds.items()},
    }


def floor(data: Path) -> dict:
    """One script that reads the events once and writes the same features: no history, no checks, no quarantine, no stable ids."""
    out = data / "floor.parquet"
    started = time.monotonic()
    _features_by_hand(_by_hand(), data, out)
    seconds = time.monotonic() - started
    out.unlink()
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def stored(data: Path) -> dict:
    """The floor, and the two things a lake can't do without: the raw files kept, and every event typed and stored. Still no contacts, identity or checks."""
    out = Path(tempfile.mkdtemp(prefix="stored-"))
    started = time.monotonic()
    for stream in STREAMS:
        shutil.copytree(data / stream, out / "raw" / stream)
    connection = _by_hand()
    connection.execute(_script("events.sql", data).replace("{out}", str(out / "events")))
    _features_by_hand(connection, data, out / "features.parquet")
    seconds = time.monotonic() - started
    shutil.rmtree(out)
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _by_hand() -> Any:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET memory_limit='2GB'; SET preserve_insertion_order=false; SET TimeZone='UTC'")
    return connection


def _features_by_hand(connection: Any, data: Path, out: Path) -> None:
    connection.execute(_script("floor.sql", data).replace("{as_of}", AS_OF))
    connection.execute(f"COPY features TO '{out}' (FORMAT parquet)")


def _script(name: str, data: Path) -> str:
    files = ", ".join(f"'{data}/{s}/*.parquet'" for s in ("tracking", "orders", "email"))
    return (Path(__file__).parent / name).read_text().replace("{files}", files)


def usual(data: Path) -> dict:
    """The usual tutorial: read everything into pandas, group, scale, K-Means for k = 2..9 with a silhouette each; see `WHOLE_SILHOUETTE`."""
    import numpy as np
    import pandas as pd
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    started = time.monotonic()
    as_of = pd.Timestamp(AS_OF)
    frames = [pd.read_parquet(f) for s in ("tracking", "orders", "email") for f in sorted((data / s).glob("*.parquet"))]
    events = pd.concat(frames, ignore_index=True).drop_duplicates("event_id")
    events["event_time"] = pd.to_datetime(events["event_time"], errors="coerce", utc=True, format="ISO8601")
    events["event_type"] = (
        events["event_type"].str.strip().str.lower().str.replace(r"[ -]", "_", regex=True).replace({"add_to_cart": "product_added"})
    )
    events = events[events["event_time"].notna() & (events["event_time"] <= as_of)]
    known = events.dropna(subset=["user_id"]).drop_duplicates("anonymous_id").set_index("anonymous_id")["user_id"]
    events["person"] = events["user_id"].fillna(events["anonymous_id"].map(known)).fillna(events["anonymous_id"])
    events = events.dropna(subset=["person"])
    events["revenue"] = pd.to_numeric(events["revenue"], errors="coerce")
    features = pd.DataFrame({"last_event": events.groupby("person")["event_time"].max(), "events_total": events.groupby("person").size()})
    for days in (7, 30, 90, 365):
        recent = events[events["event_time"] > as_of - pd.Timedelta(days=days)]
        features[f"events_{days}d"] = recent.groupby("person").size()
        orders = recent[recent["event_type"] == "order_completed"]
        features[f"orders_{days}d"] = orders.groupby("person")["order_id"].nunique()
        features[f"revenue_{days}d"] = orders.groupby("person")["revenue"].sum()
    features["days_since_event"] = (as_of - features["last_event"]).dt.total_seconds() / 86_400
    features["active_days_90d"] = recent_days(events, as_of, 90)
    for column in ("category", "channel"):
        features[f"top_{column}"] = events.groupby("person")[column].agg(lambda v: v.value_counts().index[0] if v.notna().any() else None)
    features["categories"] = events.groupby("person")["category"].nunique()
    numbers = features.select_dtypes("number").fillna(0)
    scaled = StandardScaler().fit_transform(numbers)
    everybody = np.arange(len(scaled))
    sample = everybody if len(scaled) <= WHOLE_SILHOUETTE else np.random.default_rng(0).choice(everybody, 20_000, replace=False)
    scores = {}
    for k in range(2, 10):
        labels = KMeans(k, n_init=10, random_state=0).fit(scaled).labels_[sample]
        scores[k] = silhouette_score(scaled[sample], labels) if len(set(labels)) > 1 else -1.0  # a few outliers make a cluster the sample misses
    features["cluster"] = KMeans(max(scores, key=scores.get), n_init=10, random_state=0).fit(scaled).labels_
    out = data / "usual.parquet"
    features.to_parquet(out)
    seconds = time.monotonic() - started
    out.unlink()
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def recent_days(events, as_of, days: int):
    """Distinct active days of each person in the last `days`."""
    import pandas as pd

    recent = events[events["event_time"] > as_of - pd.Timedelta(days=days)]
    return recent.assign(day=recent["event_time"].dt.floor("D")).groupby("person")["day"].nunique()


def _project(folder: Path, data: Path) -> None:
    """A project on the shop's files, with the demo's settings and segments and nowhere to deliver to."""
    from seg_assets.project.load import demo_path

    streams = "\n".join(f"      {s}: {{to: {to}{', timezone: Europe/Berlin' if s == 'orders' else ''}}}" for s, to in STREAMS.items())
    paths = "\n".join(f"        {s}: {{path: {data.absolute()}/{s}/*.parquet}}" for s in STREAMS)
    (folder / "project.yaml").write_text(
        f"project: benchmark\nas_of: {AS_OF}\ncurrency: EUR\nconnections:\n  files:\n    connector: files\n    config:\n      streams:\n{paths}\n"
        f"    streams:\n{streams}\n"
    )
    shutil.copytree(demo_path() / "segments", folder / "segments")


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()
