"""`python -m connectors.shop`: writes every stream of a shop as Parquet files, and its truth beside them. For benchmarks."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import click
import pyarrow.parquet as pq
from pydantic import ValidationError

from connectors.shop.config import ShopConfig
from connectors.shop.source import ShopSource
from connectors.types import Context, StreamDef


@click.command()
@click.option("--customers", default=5_000, show_default=True, help="Persons.")
@click.option("--seed", default=7, show_default=True, help="Seed.")
@click.option("--start", help="First day, YYYY-MM-DD.")
@click.option("--end", help="Last day, YYYY-MM-DD.")
@click.option("--dirt", default=1.0, show_default=True, help="How dirty the data is, 0..1.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
def export(out: Path, **settings: object) -> None:
    """Writes OUT/<stream>/<slice>.parquet and OUT/truth."""
    try:
        config = ShopConfig.model_validate({name: value for name, value in settings.items() if value is not None} | {"truth": "truth"})
    except ValidationError as error:
        raise click.UsageError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
    out.mkdir(parents=True, exist_ok=True)
    end = datetime(config.end.year, config.end.month, config.end.day, tzinfo=UTC) + timedelta(days=1)
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(as_of=end, root=out, scratch=Path(scratch))
        source = ShopSource(config)
        for stream in source.streams(context):
            began, rows = time.perf_counter(), _write(source, stream, context, out / stream.name)
            seconds = time.perf_counter() - began
            click.echo(f"{stream.name:<11} {rows:>12,} rows {seconds:8.1f} s {rows / max(seconds, 1e-9):>12,.0f} rows/s")


def _write(source: ShopSource, stream: StreamDef, context: Context, folder: Path) -> int:
    """One Parquet file per slice; returns the rows written."""
    folder.mkdir(exist_ok=True)
    rows = 0
    for slice_, pages in groupby(source.read(stream.name, None, context), key=lambda page: page.slice):
        with pq.ParquetWriter(folder / f"{slice_}.parquet", stream.schema) as writer:
            for page in pages:
                writer.write(page.rows)
                rows += page.rows.num_rows if page.rows is not None else 0
    return rows


if __name__ == "__main__":
    export()
