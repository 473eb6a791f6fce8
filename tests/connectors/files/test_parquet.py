"""Parquet: landed byte for byte after a check that every page can be read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.files import FilesSource


@pytest.fixture
def parquet(project):
    """Writes a Parquet file with 10,000 rows into `data`; returns its path."""

    def write(table=None, name="a.parquet", **options):
        path = project / "data" / name
        default = pa.table({"n": range(10_000), "t": [f"text {n * n}" for n in range(10_000)]})
        pq.write_table(default if table is None else table, path, **options)
        return path

    return write


def test_a_sound_file_is_handed_over_as_it_is(parquet, context):

    path = parquet()
    source = FilesSource(FilesSource.config_model(path="data/*.parquet"))
    (page,) = source.read("rows", None, context)
    assert page.parquet == path
    assert page.rows is None


def test_rows_and_types_arrive(parquet, read):
    parquet(pa.table({"n": [1, 2], "d": pa.array([1, None], pa.decimal128(10, 2))}))
    assert [row["n"] for row in read().rows] == [1, 2]


def test_a_file_without_rows_is_sound(parquet, read):
    parquet(pa.table({"n": pa.array([], pa.int64())}))
    table = read()
    assert (table.rows, table.reasons) == ([], {})


@pytest.mark.parametrize("keep", [0, 3, 4, 1_000, -1, -200])
def test_a_file_that_is_cut_off_is_rejected(parquet, read, keep):
    path = parquet()
    path.write_bytes(path.read_bytes()[:keep])
    table = read()
    assert table.rows == []
    assert table.reasons[("a.parquet", "")].startswith("not a complete Parquet file")


def test_a_file_broken_in_the_middle_is_rejected(parquet, read):
    path = parquet(write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    assert read().reasons[("a.parquet", "")].startswith("not a complete Parquet file")


def test_text_under_a_parquet_name_is_rejected(read_bytes):
    assert list(read_bytes(b"a,b\n1,2\n", "a.parquet").reasons) == [("a.parquet", "")]


def test_column_names_that_differ_only_in_case_are_rejected(parquet, read):
    parquet(pa.table({"Mail": [1], "mail": [2]}))
    assert read().reasons == {("a.parquet", ""): "two columns have the same name (case is ignored)"}


def test_parquet_inside_gzip_is_rejected(read_bytes):
    assert "Parquet files are packed inside" in read_bytes(b"", "a.parquet.gz").reasons[("a.parquet.gz", "")]
