"""The `files` source: which files are new or changed, and their pages. How one file is read is in the modules beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from connectors.errors import ConfigError, SourceError
from connectors.files.config import FilesConfig, StreamFiles
from connectors.files.csv_rows import read_csv
from connectors.files.jsonl import read_jsonl
from connectors.files.lines import Lines, gzip_damage, open_bytes
from connectors.files.listing import Found, digest, list_files
from connectors.files.pages import Batch
from connectors.files.parquet import parquet_fault
from connectors.types import Config, ConnectorMeta, Context, Landing, Page, Reject, StreamDef

_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_CURSOR_VERSION = 1
_CURSORS = 50
"""At most about so many pages of one read carry the cursor: with thousands of files, writing it with each would cost more than the files."""


class FilesSource:
    """Files matched by a glob; a slice is one file.

    A file that is new, or whose size, time and content changed, replaces its slice; the slice of a file that is gone is emptied. A file that
    can't be used at all leaves an empty slice and a reject. The cursor is {"version", "options", "files": {slice: [bytes, mtime_ns, digest]},
    "removed": slices emptied by the last read}.
    """

    meta: ClassVar[ConnectorMeta] = ConnectorMeta(
        id="files",
        title="Files",
        description="CSV, JSON Lines and Parquet files on this machine, matched by a glob. Only new and changed files are read.",
        kinds=("file",),
    )
    config_model: ClassVar[type[Config]] = FilesConfig

    def __init__(self, config: FilesConfig) -> None:
        self._streams = config.by_stream()

    def streams(self, context: Context) -> Sequence[StreamDef]:
        return [StreamDef(name, f"Rows of the files {one.path}.", landing=Landing.REPLACE_SLICE) for name, one in self._streams.items()]

    def watermark(self, stream: str, context: Context) -> str:
        options = self._options(stream)
        return digest(list_files(options.path, context.root), _fingerprint(options))

    def read(self, stream: str, cursor: Mapping[str, Any] | None, context: Context) -> Iterator[Page]:
        """New and changed files, oldest change first, then the slices of files that are gone.

        Raises:
            SourceError: nothing matches the path, a file changed while it was read, or files can't be opened (raised after all others were read).
        """
        options = self._options(stream)
        listed = list_files(options.path, context.root)
        if not listed:
            raise SourceError(f"no file matches {options.path}", hint="nothing was read or removed; is the folder mounted, is the path right?")
        return _Reading(options, listed, cursor, context).pages()

    def _options(self, stream: str) -> StreamFiles:
        if stream not in self._streams:
            raise ConfigError(f"there is no stream {stream!r}", hint=f"streams: {', '.join(self._streams)}")
        return self._streams[stream]


class _Reading:
    """One call of `read`: what is to be read, the cursor as it grows, and what could not be opened."""

    def __init__(self, options: StreamFiles, listed: Sequence[Found], cursor: Mapping[str, Any] | None, context: Context) -> None:
        self._options, self._log = options, context.log
        self._fingerprint = _fingerprint(options)
        known = cursor if cursor and cursor.get("version") == _CURSOR_VERSION else {}
        same_options = known.get("options") == self._fingerprint
        self._files: dict[str, list[Any]] = {slice: state if same_options else [] for slice, state in known.get("files", {}).items()}
        self._unreadable: list[str] = []
        self._removed = sorted(self._files.keys() - {one.slice for one in listed})
        self._changed = [one for one in listed if self._is_changed(one)]

    def pages(self) -> Iterator[Page]:
        slices = len(self._changed) + len(self._removed)
        every = slices // _CURSORS + 1
        for position, one in enumerate(self._changed, 1):
            yield from self._file(one, with_cursor=position % every == 0 or position == slices)
        for position, slice in enumerate(self._removed, len(self._changed) + 1):
            del self._files[slice]
            yield Page(slice, cursor=self._cursor() if position % every == 0 or position == slices else None)
        if self._unreadable:
            raise SourceError(f"{len(self._unreadable)} file(s) can't be read: {'; '.join(self._unreadable[:5])}", hint="all other files were read")

    def _is_changed(self, one: Found) -> bool:
        """Whether the file must be read; one with a new time but the same content need not. Notes files that can't be opened."""
        state = self._files.get(one.slice, [])
        if state[:2] == [one.size, one.mtime_ns]:
            return False
        try:
            if state and state[0] == one.size and not one.refused and state[2] == _content(one.path):
                self._files[one.slice] = [one.size, one.mtime_ns, state[2]]
                return False
            if not one.refused:
                one.path.open("rb").close()
        except OSError as error:
            self._unreadable.append(f"{one.slice}: {error.strerror}")
            return False
        return True

    def _file(self, one: Found, *, with_cursor: bool) -> Iterator[Page]:
        """The file's pages; the last one is given out only when the file is still what it was when reading began."""
        try:
            before = _signs(one)
            content = "" if one.refused else _content(one.path)
            pages = self._pages_of(one)
            held = next(pages)
            for page in pages:
                yield held
                held = page
            _expect_unchanged(one, before)
            self._files[one.slice] = [*before, content]
            yield replace(held, cursor=self._cursor() if with_cursor else None)
            if held.parquet:
                _expect_unchanged(one, before)
        except OSError as error:
            raise SourceError(f"{one.slice}: reading failed: {error.strerror}", hint="the slice was left as it was") from error

    def _pages_of(self, one: Found) -> Iterator[Page]:
        form = self._options.format if self._options.format != "auto" else _told_by_name(one.path)
        packed = one.path.suffix.lower() == ".gz"
        fault = one.refused or ("" if form else "the name does not tell the format; set `format`")
        if not fault and form == "parquet":
            fault = "Parquet files are packed inside; .gz around them is not read" if packed else parquet_fault(one.path)
        elif not fault and packed:
            fault = gzip_damage(one.path)
        if fault:
            yield Page(one.slice, rejects=[Reject(one.slice, "", fault)])
        elif form == "parquet":
            yield Page(one.slice, parquet=one.path)
        else:
            yield from (Page(one.slice, rows=batch.rows, rejects=batch.rejects) for batch in self._batches(one, form))

    def _batches(self, one: Found, form: str) -> Iterator[Batch]:
        with open_bytes(one.path) as file:
            yield from (read_csv if form == "csv" else read_jsonl)(Lines(file, self._options.encoding), one.slice, self._options)

    def _cursor(self) -> dict[str, Any]:
        return {"version": _CURSOR_VERSION, "options": self._fingerprint, "files": dict(self._files), "removed": self._removed}


def _told_by_name(path: Path) -> str:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return _FORMATS.get(name.suffix.lower(), "")


def _fingerprint(options: StreamFiles) -> str:
    """Changes when files must be read again although they are the same; where they are does not matter."""
    return hashlib.blake2b(options.model_dump_json(exclude={"path"}).encode(), digest_size=8).hexdigest()


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _signs(one: Found) -> list[int]:
    if one.refused:
        return [one.size, one.mtime_ns]
    status = one.path.stat()
    return [status.st_size, status.st_mtime_ns]


def _expect_unchanged(one: Found, before: list[int]) -> None:
    if _signs(one) != before:
        raise SourceError(
            f"{one.slice}: the file changed while it was read; its slice was left as it was",
            hint="write files under another name and rename them when they are complete",
        )
