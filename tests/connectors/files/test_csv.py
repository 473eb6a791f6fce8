"""CSV: exact when sound, and damage costs only the lines it is on."""

import codecs
import csv
import gzip
import io
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import SourceError

blocks = st.sampled_from([1, 2, 7, 64, 1 << 20])
"""Bytes read at once: every law holds wherever a block ends."""
each_example_overwrites_the_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def test_columns_are_strings_and_empty_texts_are_null(read_bytes):
    assert read_bytes(b'id,amount,note\n007,1.50,""\n8,,x\n').rows == [
        {"id": "007", "amount": "1.50", "note": None},
        {"id": "8", "amount": None, "note": "x"},
    ]


def test_configured_null_values_are_null_wherever_they_fill_a_field(read_bytes):
    table = read_bytes(b"a,b\nNULL,N/A\nNULLs,n/a\n", null_values=["NULL", "N/A"])
    assert table.rows == [{"a": None, "b": None}, {"a": "NULLs", "b": "n/a"}]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_of_every_system(read_bytes, end):
    assert read_bytes(end.join([b"a,b", b"1,2", b"3,4"]) + end).rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_last_line_without_an_end_counts(read_bytes):
    assert read_bytes(b"a,b\n1,2").rows == [{"a": "1", "b": "2"}]


def test_quoted_line_ends_stay_as_they_are(read_bytes):
    assert read_bytes(b'a,b\n"x\r\ny\nz","say ""hi"""\n').rows == [{"a": "x\r\ny\nz", "b": 'say "hi"'}]


def test_bare_quotes_inside_an_unquoted_field_are_text(read_bytes):
    assert read_bytes(b'size,b\n5" disk,2\n').rows == [{"size": '5" disk', "b": "2"}]


def test_blank_lines_are_no_rows(read_bytes):
    table = read_bytes(b"\na,b\n\n1,2\r\n\r\n\n3,4\n\n")
    assert table.rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert not table.reasons


@pytest.mark.parametrize(
    ("delimiter", "content"),
    [(",", 'a,b\n"x;y",2\n'), (";", "a;b\n1,5;2\n"), ("\t", "a\tb\nx, y\t2\n"), ("|", "a|b\nx;y|2\n")],
)
def test_delimiter_is_told_by_the_first_lines(read_bytes, delimiter, content):
    expected = next(csv.DictReader(io.StringIO(content), delimiter=delimiter))
    assert read_bytes(content.encode()).rows == [expected]


def test_a_file_with_one_column_needs_no_delimiter(read_bytes):
    assert read_bytes(b"name\nx\ny\n").rows == [{"name": "x"}, {"name": "y"}]


def test_a_stated_delimiter_is_not_guessed(read_bytes):
    assert read_bytes(b"a,b;c\n1,2;3\n", delimiter=";").rows == [{"a,b": "1,2", "c": "3"}]


def test_without_header_columns_are_numbered(read_bytes):
    assert read_bytes(b"1,2\n3,4\n", header=False).rows == [{"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"}]


def test_duplicate_and_blank_header_names_become_distinct(read_bytes):
    table = read_bytes(b"id,Mail,mail,,mail,mail_2\n1,2,3,4,5,6\n")
    assert table.rows == [{"id": "1", "Mail": "2", "mail_2": "3", "column_4": "4", "mail_3": "5", "mail_2_2": "6"}]


def test_empty_file_has_no_rows_and_no_rejects(read_bytes):
    table = read_bytes(b"")
    assert (table.rows, table.reasons, table.read_slices) == ([], {}, ["a.csv"])


def test_header_alone_has_columns_and_no_rows(read_bytes, project):
    table = read_bytes(b"a,b\n")
    assert (table.rows, table.reasons) == ([], {})


@pytest.mark.parametrize(
    ("encoding", "mark", "option"),
    [
        ("utf-8", b"", "auto"),
        ("utf-8", codecs.BOM_UTF8, "auto"),
        ("utf-8", codecs.BOM_UTF8, "utf-8"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "auto"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "auto"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "utf-16"),
        ("utf-16-le", b"", "utf-16"),
        ("latin-1", b"", "latin-1"),
        ("cp1252", b"", "windows-1252"),
    ],
)
def test_encodings_and_byte_order_marks(read_bytes, encoding, mark, option):
    table = read_bytes(mark + "näme,b\nMüller,ÿ\n".encode(encoding), encoding=option)
    assert table.rows == [{"näme": "Müller", "b": "ÿ"}]


def test_lines_in_another_encoding_are_rejected_one_by_one(read_bytes):
    lines = [b"id,name", "1,Zoë".encode(), "2,Zoë".encode("latin-1"), "3,naïve".encode(), b"4,\xc3"]
    table = read_bytes(b"\n".join(lines))
    assert table.rows == [{"id": "1", "name": "Zoë"}, {"id": "3", "name": "naïve"}]
    assert table.reasons == {("a.csv", f"line {n}"): "holds bytes that are not valid in the file's encoding" for n in (3, 5)}


def test_half_a_character_at_the_end_of_utf_16_is_rejected(read_bytes):
    table = read_bytes(codecs.BOM_UTF16_LE + "a,b\n1,2\n3,4".encode("utf-16-le") + b"\x35")
    assert table.rows == [{"a": "1", "b": "2"}]
    assert list(table.reasons) == [("a.csv", "line 3")]


def test_undecodable_record_over_several_lines_is_rejected_as_one(read_bytes):
    table = read_bytes(b'a,b\n1,"x\n\xff\ny"\n2,z\n')
    assert table.rows == [{"a": "2", "b": "z"}]
    assert list(table.reasons) == [("a.csv", "lines 2-4")]


def test_lines_with_too_many_or_too_few_fields_are_rejected(read_bytes):
    table = read_bytes(b"a,b\n1,2,3\n4\n5,6\n")
    assert table.rows == [{"a": "5", "b": "6"}]
    assert table.reasons == {
        ("a.csv", "line 2"): "3 fields where there should be 2",
        ("a.csv", "line 3"): "1 fields where there should be 2",
    }


def test_nul_characters_are_rejected(read_bytes):
    table = read_bytes(b"a,b\n1,x\0y\n2,z\n" + b"\0" * 100)
    assert table.rows == [{"a": "2", "b": "z"}]
    assert {position for _, position in table.reasons} == {"line 2", "line 4"}


def test_a_stray_quote_costs_only_its_own_line(read_bytes):
    table = read_bytes(b'id,name\n1,"Ann\n2,Bob\n3,"Cy, Jr"\n4,Dee\n')
    assert [row["id"] for row in table.rows] == ["2", "3", "4"]
    assert list(table.reasons) == [("a.csv", "line 2")]


def test_a_file_cut_off_inside_quotes_keeps_what_is_complete(read_bytes):
    table = read_bytes(b'id,name\n1,"Ann"\n2,"Bo')
    assert table.rows == [{"id": "1", "name": "Ann"}]
    assert table.reasons == {("a.csv", "line 3"): "a quote is opened and never closed"}


def test_a_line_of_a_megabyte_is_read(read_bytes):
    long = "x" * 1_000_000
    assert read_bytes(f"a,b\n1,{long}\n2,y\n".encode()).rows == [{"a": "1", "b": long}, {"a": "2", "b": "y"}]


@pytest.mark.slow
@pytest.mark.parametrize("long", [b"1," + b"x" * (17 << 20), b'1,"' + b"x" * (17 << 20), b"x," * (9 << 20)])
def test_a_record_beyond_the_limit_is_rejected_and_reading_goes_on(read_bytes, long):
    table = read_bytes(b"a,b\n0,z\n" + long + b"\n2,y\n")
    assert table.rows == [{"a": "0", "b": "z"}, {"a": "2", "b": "y"}]
    assert list(table.reasons) == [("a.csv", "line 3")]


def test_unreadable_header_rejects_the_whole_file(read_bytes):
    table = read_bytes(b"a,\xff\n1,2\n")
    assert table.rows == []
    assert table.reasons[("a.csv", "")].startswith("the header on line 1 can't be read")


def test_gzip_is_unpacked(read_bytes):
    assert read_bytes(gzip.compress(b"a,b\n1,2\n"), "a.csv.gz").rows == [{"a": "1", "b": "2"}]


def test_gzip_that_ends_too_early_keeps_its_complete_lines_and_says_where(read_bytes):
    lines = [f"{n},{n * n % 7919}" for n in range(50_000)]
    packed = gzip.compress("\n".join(["a,b", *lines]).encode())
    table = read_bytes(packed[: len(packed) // 2], "a.csv.gz")
    kept = [f"{row['a']},{row['b']}" for row in table.rows]
    assert kept == lines[: len(kept)]
    assert 1_000 < len(kept) < 49_000
    assert list(table.reasons) == [("a.csv.gz", f"line {len(kept) + 2}")]


def test_gzip_with_a_wrong_checksum_is_not_trusted_at_all(read_bytes):
    packed = bytearray(gzip.compress(b"a,b\n1,2\n"))
    packed[-5] ^= 1
    table = read_bytes(bytes(packed), "a.csv.gz")
    assert table.rows == []
    assert list(table.reasons) == [("a.csv.gz", "")]


def test_a_file_that_is_no_gzip_is_rejected(read_bytes):
    assert list(read_bytes(b"a,b\n1,2\n", "a.csv.gz").reasons) == [("a.csv.gz", "")]


def test_rejects_never_hold_content(read_bytes):
    table = read_bytes(b'id,mail\n1,canary@x.org,extra\n2,"canary@x.org"x\n3,canary\xff\n4,"canary')
    assert len(table.reasons) == 4
    assert "canary" not in repr(table.rejects)


def test_pages_are_bounded_and_together_the_whole_file(read_bytes):
    table = read_bytes(b"n\n" + b"".join(b"%d\n" % n for n in range(250_000)))
    assert [row["n"] for row in table.rows] == [str(n) for n in range(250_000)]
    assert table.pages > 1


def test_an_unknown_name_is_rejected_rather_than_guessed(read_bytes):
    table = read_bytes(b"a,b\n1,2\n", "notes.md")
    assert table.reasons == {("notes.md", ""): "the name does not tell the format; set `format`"}
    assert read_bytes(b"a,b\n1,2\n", "notes.md", format="csv").rows == [{"a": "1", "b": "2"}]


def test_nothing_to_match_is_an_error(read):
    with pytest.raises(SourceError, match="no file matches"):
        read()


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
tables = st.integers(2, 5).flatmap(lambda width: st.lists(st.lists(texts, min_size=width, max_size=width), max_size=12))


@given(
    rows=tables,
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    block=blocks,
)
@each_example_overwrites_the_file
def test_what_the_csv_module_writes_reads_back_exactly(read_bytes, rows, delimiter, quoting, encoding, block):
    width = len(rows[0]) if rows else 2
    header = [f"c{n}" for n in range(width)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting).writerows([header, *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.files.lines.BLOCK", block)
        table = read_bytes(text.getvalue().encode(encoding), delimiter=delimiter)
    assert table.rows == [{name: value or None for name, value in zip(header, row, strict=True)} for row in rows]
    assert not table.reasons


contained = st.sampled_from([b'%d,"x"y,z', b"%d,\xff,z", b"%d,x", b"%d,x,y,z", b"%d,x\0,z", b"\xff\xfe%d", b'%d,"a,b"', b"%d,x\r,z"])
unclosed = st.sampled_from([b'%d,"', b'"%d,x', b'%d,a"b,"c', b'%d,"",",', b'"%d', b'%d,"""', b'%d,,"x', b'%d,","'])
words = st.text(string.ascii_letters + ' ,;"é', max_size=6)
texts_over_lines = st.text(string.ascii_letters + ' ,;"é\r\n', max_size=6)


def read_damaged(read_bytes, lines, block):
    """Writes intact records (tuples) and damaged lines (bytes); returns the table, the rows of the intact ones and the number of others."""
    content, intact = [b"id,a,b"], []
    for n, line in enumerate(lines):
        if isinstance(line, bytes):
            content.append(line % n)
            continue
        text = io.StringIO(newline="")
        csv.writer(text).writerow([n, *line])
        content.append(text.getvalue().removesuffix("\r\n").encode())
        intact.append({"id": str(n), "a": line[0] or None, "b": line[1] or None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.files.lines.BLOCK", block)
        table = read_bytes(b"\n".join(content))
    return table, intact, len(lines) - len(intact)


@given(st.lists(st.one_of(st.tuples(texts_over_lines, texts_over_lines), contained), max_size=15), blocks)
@each_example_overwrites_the_file
def test_a_damaged_line_never_loses_or_changes_an_intact_record(read_bytes, lines, block):
    table, intact, damaged = read_damaged(read_bytes, lines, block)
    assert table.rows == intact
    assert len(table.reasons) == damaged


one_line = st.lists(st.one_of(st.tuples(words, words), contained), max_size=8)


@given(one_line, unclosed, one_line, blocks)
@each_example_overwrites_the_file
def test_a_quote_left_open_never_loses_or_changes_an_intact_line(read_bytes, before, stray, after, block):
    """Records on one line each, and one stray quote: with a second one the text between them would be a sound quoted field."""
    table, intact, damaged = read_damaged(read_bytes, [*before, stray, *after], block)
    assert table.rows == intact
    assert len(table.reasons) == damaged
