"""Which files are read, and when: new ones, changed ones, none twice; removed ones are emptied; odd ones are refused."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.errors import ConfigError, SourceError
from connectors.files import FilesSource


@pytest.fixture
def write(project):
    """Writes a file below `data`; every write gets a later modification time."""
    times = iter(range(1_700_000_000, 1_800_000_000))

    def write(name, content="a,b\n1,2\n"):
        path = project / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        at = next(times)
        os.utime(path, (at, at))
        return path

    return write


@contextlib.contextmanager
def without_roots_rights():
    """Runs the block as "nobody" where tests run as root, for whom every file is readable."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_project():
    """A project folder that everybody may enter, with one file in `data`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "data").mkdir()
    (folder / "data" / "x.csv").write_text("a,b\n1,2\n")
    yield folder
    shutil.rmtree(folder)


def source_of(**config):
    return FilesSource(FilesSource.config_model(**config))


def test_slices_are_paths_relative_to_the_folders_before_the_first_wildcard(write, read):
    write("x.csv")
    write("2026/01/y.csv")
    assert sorted(read(path="data/**/*.csv").slices) == ["2026/01/y.csv", "x.csv"]
    assert sorted(read(path="data/2026/*/y.csv").slices) == ["01/y.csv"]
    assert sorted(read(path="data/2026/01/y.csv").slices) == ["y.csv"]


def test_patterns_match_like_a_shell(write, read):
    for name in ("a1.csv", "a2.csv", "b1.csv", ".hidden.csv", ".git/x.csv", "sub/a3.csv", "A1.csv"):
        write(name)
    assert sorted(read(path="data/a?.csv").slices) == ["a1.csv", "a2.csv"]
    assert sorted(read(path="data/[!a]*.csv").slices) == ["A1.csv", "b1.csv"]
    assert sorted(read(path="data/*/*.csv").slices) == ["sub/a3.csv"]
    assert sorted(read(path="data/**").slices) == ["A1.csv", "a1.csv", "a2.csv", "b1.csv", "sub/a3.csv"]
    assert sorted(read(path="data/.h*").slices) == [".hidden.csv"]


def test_an_absolute_path_may_be_anywhere(tmp_path, read):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.csv").write_text("a,b\n1,2\n")
    assert read(path=str(tmp_path / "elsewhere" / "*.csv")).rows == [{"a": "1", "b": "2"}]


def test_what_was_read_is_not_read_again(write, read):
    write("x.csv")
    table = read()
    assert read(table).read_slices == []


def test_only_new_and_changed_files_are_read(write, read):
    write("same.csv")
    write("changed.csv")
    table = read()
    write("changed.csv", "a,b\n3,4\n5,6\n")
    write("new.csv", "a,b\n7,8\n")
    assert sorted(read(table).read_slices) == ["changed.csv", "new.csv"]
    assert [row["a"] for row in table.rows] == ["3", "5", "7", "1"]


def test_a_change_that_keeps_the_size_is_seen(write, read):
    write("x.csv", "a,b\n1,2\n")
    table = read()
    write("x.csv", "a,b\n1,3\n")
    assert read(table).rows == [{"a": "1", "b": "3"}]


def test_a_new_time_on_the_same_content_reads_nothing(write, read):
    write("x.csv")
    table = read()
    write("x.csv")
    assert read(table).read_slices == []


def test_other_options_read_everything_again(write, read):
    write("x.csv", "a,b\n1,NULL\n")
    write("y.csv")
    table = read()
    assert sorted(read(table, null_values=["NULL"]).read_slices) == ["x.csv", "y.csv"]
    assert table.rows[0] == {"a": "1", "b": None}


def test_options_that_change_in_the_middle_of_a_crash_do_not_hide_files(write, read, context):
    for n in range(3):
        write(f"{n}.csv", "a,b\n1,NULL\n")
    table = read()
    first = next(source_of(path="data/**", null_values=["NULL"]).read("rows", table.cursor, context))
    table.cursor = first.cursor
    assert sorted(read(table, null_values=["NULL"]).read_slices) == ["1.csv", "2.csv"]


def test_slices_of_removed_files_are_emptied_and_named_in_the_cursor(write, read):
    write("stays.csv")
    gone = write("gone.csv", "a,b\n3,4\n")
    table = read()
    gone.unlink()
    assert read(table).read_slices == ["gone.csv"]
    assert table.rows == [{"a": "1", "b": "2"}]
    assert table.cursor["removed"] == ["gone.csv"]
    assert read(table).read_slices == []


def test_when_everything_is_gone_nothing_is_removed(write, read):
    gone = write("x.csv")
    table = read()
    gone.unlink()
    with pytest.raises(SourceError, match="no file matches data/"):
        read(table)
    assert table.rows == [{"a": "1", "b": "2"}]


def test_a_folder_that_can_not_be_listed_removes_nothing(open_project, read):
    project = open_project
    (project / "data" / "sub").mkdir()
    (project / "data" / "sub" / "x.csv").write_text("a,b\n3,4\n")
    table = read(path=f"{project}/data/**")
    (project / "data" / "sub").chmod(0)
    with without_roots_rights(), pytest.raises(SourceError, match=r"can't list .*sub: Permission denied"):
        read(table, path=f"{project}/data/**")
    assert len(table.rows) == 2


def test_a_file_that_can_not_be_opened_is_named_after_the_others_were_read(open_project, context):
    secret = open_project / "data" / "secret.csv"
    secret.write_text("a,b\n3,4\n")
    os.utime(secret, (0, 0))
    secret.chmod(0)
    with without_roots_rights():
        pages = source_of(path=f"{open_project}/data/*").read("rows", None, context)
        page = next(pages)
        assert (page.slice, list(page.cursor["files"])) == ("x.csv", ["x.csv"])
        with pytest.raises(SourceError, match=r"1 file\(s\) can't be read: secret.csv: Permission denied"):
            next(pages)
    secret.chmod(0o644)
    assert [later.slice for later in source_of(path=f"{open_project}/data/*").read("rows", page.cursor, context)] == ["secret.csv"]


def test_a_file_that_changes_while_it_is_read_leaves_its_slice_as_it_was(project, context):
    file = project / "data" / "x.csv"
    file.write_text("n\n" + "1\n" * 150_000)
    pages = source_of(path="data/*.csv").read("rows", None, context)
    assert next(pages).cursor is None
    with file.open("a") as more:
        more.write("2\n")
    with pytest.raises(SourceError, match=r"x\.csv: the file changed while it was read"):
        next(pages)


def test_a_file_being_written_does_not_keep_older_ones_from_being_read(write, read, context):
    write("b-old.csv")
    write("a-new.csv")
    assert [page.slice for page in source_of(path="data/*").read("rows", None, context)] == ["b-old.csv", "a-new.csv"]


def test_a_folder_where_a_file_is_expected_is_rejected(write, read):
    write("x.csv")
    write("y.csv/part.txt")
    table = read(path="data/*.csv")
    assert table.rows == [{"a": "1", "b": "2"}]
    assert "a folder, not a file" in table.reasons[("y.csv", "")]


def test_folders_beside_files_are_no_fault_where_any_name_is_meant(write, read):
    write("x.csv")
    write("sub/y.csv")
    assert read(path="data/*").reasons == {}


def test_a_pipe_is_not_opened(write, read, project):
    write("x.csv")
    os.mkfifo(project / "data" / "pipe.csv")
    assert read().reasons == {("pipe.csv", ""): "not a regular file"}


def test_links_out_of_the_project_are_refused_unless_the_path_is_absolute(write, read, project, tmp_path):
    write("x.csv")
    outside = tmp_path / "outside.csv"
    outside.write_text("a,b\n3,4\n")
    (project / "data" / "link.csv").symlink_to(outside)
    refused = read(path="data/*.csv")
    assert [row["a"] for row in refused.rows] == ["1"]
    assert "leads out of the project" in refused.reasons[("link.csv", "")]
    assert [row["a"] for row in read(path=f"{project}/data/*.csv").rows] == ["3", "1"]


def test_links_inside_the_project_are_followed_and_loops_end(write, read, project):
    target = write("x.csv")
    (project / "data" / "y.csv").symlink_to(target)
    (project / "data" / "loop").symlink_to(project / "data")
    (project / "data" / "self.csv").symlink_to("self.csv")
    (project / "data" / "broken.csv").symlink_to("nothing.csv")
    table = read()
    assert sorted(table.slices) == ["x.csv", "y.csv"]
    assert {slice for slice, _ in table.reasons} == {"self.csv", "broken.csv"}


def test_a_name_that_is_not_utf_8_is_rejected_under_a_readable_one(write, read, project):
    write("x.csv")
    Path(os.fsdecode(os.fsencode(project / "data") + b"/\xff.csv")).write_text("a,b\n")
    assert read().reasons == {("\\xff.csv", ""): "the file's name is not UTF-8"}


def test_a_rejected_file_is_read_again_when_it_is_mended(write, read):
    write("x.parquet", "broken")
    write("y.csv")
    table = read()
    assert table.reasons
    assert read(table).read_slices == []
    write("x.parquet", "still broken")
    assert read(table).read_slices == ["x.parquet"]


def test_watermark_changes_with_files_and_options_and_only_then(write, context):
    gone = write("x.csv")

    def mark(**options):
        return source_of(path="data/**", **options).watermark("rows", context)

    marks = [mark()]
    assert mark() == marks[0]
    write("y.csv")
    marks.append(mark())
    write("y.csv", "a,b\n")
    marks.append(mark())
    gone.unlink()
    marks.append(mark())
    marks.append(mark(encoding="latin-1"))
    assert len(set(marks)) == len(marks)


def test_several_streams_share_options_and_may_override_them(write, context):
    write("orders.csv", "a;b\n1;x\n")
    write("people.csv", "a|b\n1|x\n")
    source = source_of(delimiter=";", streams={"orders": {"path": "data/orders*"}, "people": {"path": "data/people*", "delimiter": "|"}})
    assert [stream.name for stream in source.streams(context)] == ["orders", "people"]
    for stream in ("orders", "people"):
        (page,) = source.read(stream, None, context)
        assert page.rows.to_pylist() == [{"a": "1", "b": "x"}]


def test_an_unknown_stream_is_named(context):
    with pytest.raises(ConfigError, match=r"no stream 'other'.*streams: rows"):
        source_of(path="x.csv").watermark("other", context)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "state either `path` or `streams`"),
        ({"path": "x", "streams": {"a": {"path": "y"}}}, "state either `path` or `streams`"),
        ({"stream": "a", "streams": {"a": {"path": "y"}}}, "`stream` names what `path` delivers"),
        ({"path": "../x.csv"}, "must stay inside the project's folder"),
        ({"path": ""}, "the path is empty"),
        ({"path": "x", "delimiter": "ab"}, "must be one character"),
        ({"path": "x", "delimiter": '"'}, "must be one character"),
        ({"path": "x", "stream": "Rows"}, "should match pattern"),
        ({"path": "x", "encoding": "ebcdic"}, "Input should be"),
        ({"path": "x", "glob": "y"}, "Extra inputs are not permitted"),
    ],
)
def test_a_configuration_that_can_not_work_is_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        FilesSource.config_model(**config)


@pytest.mark.slow
def test_ten_thousand_files(project, read):
    for n in range(10_000):
        (project / "data" / f"{n}.csv").write_text(f"n\n{n}\n")
    table = read()
    assert {row["n"] for row in table.rows} == {str(n) for n in range(10_000)}
    assert read(table).read_slices == []
    (project / "data" / "77.csv").write_text("n\nseventy-seven\n")
    (project / "data" / "78.csv").unlink()
    assert sorted(read(table).read_slices) == ["77.csv", "78.csv"]
