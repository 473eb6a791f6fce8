"""`python -m connectors.shop`: writes every stream of a shop as Parquet files, and its truth beside them. For benchmarks."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import pyarrow.parquet as pq
from pydantic import ValidationError

from connectors.shop.config import ShopConfig
from connectors.shop.source import ShopSource
from connectors.types import Context


@click.command()
@click.option("--customers", default=5_000, show_default=True, help="Persons.")
@click.option("--seed", default=7, show_default=True, help="Seed.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day.")
@click.option("--dirt", default=1.0, show_default=True, help="How dirty the data is, 0..1.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
def export(customers: int, seed: int, start: datetime | None, end: datetime | None, dirt: float, out: Path) -> None:
    """Writes OUT/<stream>/<slice>.parquet and OUT/truth."""
    period = {name: day.date() for name, day in (("start", start), ("end", end)) if day}
    try:
        config = ShopConfig(customers=customers, seed=seed, dirt=dirt, truth="truth", **period)
    except ValidationError as error:
        raise click.UsageError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(as_of=_after(config.end), root=out, scratch=Path(scratch))
        source = ShopSource(config)
        for stream in source.streams(context):
            began, rows = time.perf_counter(), _write(source, stream.name, context, out / stream.name)
            seconds = time.perf_counter() - began
            click.echo(f"{stream.name:<11} {rows:>12,} rows {seconds:8.1f} s {rows / max(seconds, 1e-9):>12,.0f} rows/s")


def _after(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _write(source: ShopSource, stream: str, context: Context, folder: Path) -> int:
    """One Parquet file per slice; returns the rows written."""
    folder.mkdir(exist_ok=True)
    writer: pq.ParquetWriter | None = None
    rows, current = 0, None
    for page in source.read(stream, None, context):
        assert page.rows is not None
        if page.slice != current:
            if writer:
                writer.close()
            current, writer = page.slice, pq.ParquetWriter(folder / f"{page.slice}.parquet", page.rows.schema)
        writer.write(page.rows)
        rows += page.rows.num_rows
    if writer:
        writer.close()
    return rows


if __name__ == "__main__":
    export()
