"""A project folder with files, and a reader that keeps what a landing would keep."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files import FilesSource
from connectors.types import Context


@dataclass
class Table:
    """The raw table of one stream: rows per slice, as landing keeps them."""

    slices: dict[str, list[dict]] = field(default_factory=dict)
    rejects: dict[str, list] = field(default_factory=dict)
    cursor: dict | None = None
    pages: int = 0
    read_slices: list[str] = field(default_factory=list)

    @property
    def rows(self):
        return [row for slice in sorted(self.slices) for row in self.slices[slice]]

    @property
    def reasons(self):
        return {(reject.slice, reject.position): reject.reason for rejects in self.rejects.values() for reject in rejects}


def land(source, table, context, stream="rows"):
    """Lands all pages of one read into `table`; slices replace what they held, the cursor follows."""
    begun = set()
    try:
        for page in source.read(stream, table.cursor, context):
            table.pages += 1
            if page.slice not in begun:
                begun.add(page.slice)
                table.read_slices.append(page.slice)
                table.slices[page.slice], table.rejects[page.slice] = [], []
            rows = pq.read_table(page.parquet) if page.parquet else page.rows
            if rows is not None:
                assert page.parquet or set(rows.schema.types) <= {pa.string()}
                table.slices[page.slice] += rows.to_pylist()
            table.rejects[page.slice] += page.rejects
            table.cursor = page.cursor or table.cursor
    finally:
        table.slices = {slice: rows for slice, rows in table.slices.items() if rows}
    return table


@pytest.fixture
def project(tmp_path):
    """The project's folder, with an empty folder `data` in it."""
    (tmp_path / "project" / "data").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def context(project):
    """What a connector is called with."""
    return Context(datetime(2026, 1, 1, tzinfo=UTC), project, project, logging.getLogger("test"))


@pytest.fixture
def read(context):
    """Reads the project's files (default: everything in `data`) into a table, or on into one read before."""

    def read(table=None, stream="rows", **config):
        source = FilesSource(FilesSource.config_model(**({"path": "data/**"} | config if "streams" not in config else config)))
        table = table or Table()
        table.read_slices = []
        return land(source, table, context, stream)

    return read


@pytest.fixture
def read_bytes(project, read):
    """Reads one file with this content; returns the table."""

    def read_bytes(content, name="a.csv", **config):
        (project / "data" / name).write_bytes(content)
        return read(**config)

    return read_bytes
