"""Landing: what a source delivered becomes the raw table, slice by slice, together with the cursor that covers it.

One Parquet file per slice, in folders named by the partition columns `_slice` and `_loaded_at`; pages that are only ever added share files. Rows and the
cursor that covers them are one Delta commit: whenever the process ends, reading goes on behind what is visible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.types import Landing, Page
from seg_assets.lake.drift import Drift, differences, split
from seg_assets.lake.lake import Key, Lake, delta_schema
from seg_assets.lake.raw_table import LOADED_AT, SLICE, TAKEN, Landed, RawTable, Slice, drifted_key, files_of


def land(
    lake: Lake,
    key: Key,
    pages: Iterable[Page],
    *,
    landing: Landing,
    loaded_at: datetime,
    facts: Mapping[str, Any],
    drift: Drift = Drift.EVOLVE,
    declared: pa.Schema | None = None,
    commit_bytes: int = 256_000_000,
    commit_seconds: float = 30.0,
    on_commit: Callable[[Landed], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Landed:
    """Lands pages as they come, and makes them visible now and then, so that little is read again after a crash.

    Args:
        lake: where it goes.
        key: the raw table.
        pages: what the source reads, slice after slice.
        landing: whether a slice replaces what it held before.
        loaded_at: instant of the run (UTC).
        facts: kept in every commit beside the cursor.
        drift: what to do with columns the table does not have.
        declared: columns the source says it delivers; they count as the table's until it has some of its own.
        commit_bytes: bytes after which what was read is made visible; as much is held on disk unseen, and one page in memory.
        commit_seconds: seconds after which it is.
        on_commit: hears how far landing has come.
        clock: seconds of any origin.

    Raises:
        SchemaDriftError: `drift` is FREEZE and other columns came. What came before them is kept.
    """
    table = RawTable(lake, key, landing, loaded_at, facts)
    aside = RawTable(lake, drifted_key(key), landing, loaded_at, facts)
    known, found = table.columns() or declared, list[str]()
    done, pending, since = _taken_back(table, aside, known, drift), list[Slice](), clock()
    if known is not None and drift is not Drift.EVOLVE:
        pages = _admitted(pages, aside, delta_schema(known), drift, found)
    groups = groupby(pages, key=lambda page: page.slice) if landing is Landing.REPLACE_SLICE else _runs(pages, commit_bytes, commit_seconds, clock)
    try:
        for name, group in groups:
            pending.append(table.write_slice(name, group))
            if sum(s.size for s in pending) >= commit_bytes or clock() - since >= commit_seconds:
                done, pending, since = table.commit(done, pending), [], clock()
                on_commit(done)
    except Exception:
        if pending:  # what was read whole is kept: the next run goes on behind it
            table.commit(done, pending)
        raise
    done = table.commit(done, pending) if pending or not lake.exists(key) else done
    evolved = differences(delta_schema(known), table.columns() or pa.schema([])) if known is not None else []
    return replace(done, drift=tuple(dict.fromkeys([*found, *evolved])))


def _runs(pages: Iterable[Page], most_bytes: int, most_seconds: float, clock: Callable[[], float]) -> Iterator[tuple[str, Iterator[Page]]]:
    """Pages that are only added, in runs that share a file. A run ends behind a page with a cursor, for reading can go on from there."""
    rest, failure = iter(pages), list[Exception]()

    def run(page: Page) -> Iterator[Page]:
        began, size = clock(), 0
        while True:
            yield page
            size += page.rows.nbytes if page.rows is not None else page.parquet.stat().st_size if page.parquet else 0
            resumable = page.cursor is not None
            if resumable and (size >= most_bytes or clock() - began >= most_seconds):
                return
            try:
                following = next(rest, None)
            except Exception as error:
                if not resumable:
                    raise
                failure.append(error)
                return
            if following is None:
                return
            page = following

    for first in rest:
        yield first.slice, run(first)
        if failure:
            raise failure[0]


def _admitted(pages: Iterable[Page], aside: RawTable, known: pa.Schema, policy: Drift, found: list[str]) -> Iterator[Page]:
    """Pages as far as they fit the known columns. What does not fit is visible in `aside` before the page's cursor is; `found` hears what differs."""
    before: str | None = None
    for page in pages:
        if page.slice != before and aside.landing is Landing.REPLACE_SLICE and aside.holds(page.slice):
            aside.commit(Landed(), [Slice(page.slice)])
        before = page.slice
        for part in split(page, known, policy):
            found += [reason for reject in part.fitting.rejects if part.aside is not None for reason in reject.reason.split("; ")]
            if part.aside is not None:
                aside.add(Page(page.slice, part.aside))
            yield part.fitting


def _taken_back(table: RawTable, aside: RawTable, known: pa.Schema | None, policy: Drift) -> Landed:
    """Lands what was set aside and fits now, beside what its slices hold: all of it where columns may evolve, else files without any difference.

    The commit that has the rows names the files they come from, so that after a crash before those are removed they are not taken again.
    """
    done = Landed(cursor=table.cursor())
    if not table.lake.exists(aside.key):
        return done
    files = files_of(table.lake.delta(aside.key))

    def fits(path: str) -> bool:
        if known is None or policy is Drift.EVOLVE:
            return True
        with aside.stored(path) as file:
            return not differences(delta_schema(known), delta_schema(pq.read_schema(file)))

    def landed(path: str, values: Mapping[str, str | None]) -> Slice:
        with aside.stored(path) as file:
            return table.write_slice(str(values[SLICE]), iter([Page(str(values[SLICE]), parquet=file)]), values[LOADED_AT])

    fitting = [(path, values) for path, _, values in files if fits(path)]
    taken = table.taken()
    new = [(path, values) for path, values in fitting if path not in taken]
    if new:
        done = table.commit(done, [landed(*one) for one in new], replacing=False, facts={TAKEN: [path for path, _ in new]})
    gone = taken | {path for path, _ in new}
    if any(path in gone for path, _, _ in files):
        left = {values[SLICE] for path, _, values in files if path not in gone}
        table.forget_drift({str(values[SLICE]) for path, _, values in files if path in gone and values[SLICE] not in left})
        aside.remove(gone)
    return done
