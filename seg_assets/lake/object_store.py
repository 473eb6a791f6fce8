"""A lake's files in an object store: moved by delta-rs' own client, so that one set of environment variables says how tables and files are reached.

DuckDB reads through the same client, as a file system of its own: it asks for the byte ranges of the columns it needs.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from fsspec import AbstractFileSystem
from pyarrow import fs

from seg_assets.errors import LakeError
from seg_assets.lake.engine import Engine, WrittenFile
from seg_assets.lake.files import Key, side_by_side

CHUNK, PART = 2**20, 2**23
"""Bytes read and uploaded at a time. delta-rs takes bytes only, and Arrow hands it those of its own buffer: so a chunk must fit in there."""

SMALL, SMALL_FILES = 2**18, 256
"""Files of so many bytes are read whole, and so many of them remembered: DuckDB opens a file several times per query, and reads it in three pieces at least."""


class Bucket:
    """Files below an address of an object store. New ones are written to a temporary folder of this process, and moved.

    Args:
        root: s3://, gs:// or az://, a bucket, and a prefix if wanted.
        options: what delta-rs shall know beside its environment variables.
    """

    def __init__(self, root: str, options: dict[str, str]) -> None:
        self.root, self.options = root.rstrip("/"), options
        self._scratch = Path(tempfile.mkdtemp(prefix="seg-lake-"))  # readable by this user only
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        self._mounted = _Mounted()
        self._tables: dict[Key, DeltaTable] = {}

    def uri(self, key: Key) -> str:
        return "/".join([self.root, *key])

    def keys(self) -> list[Key]:
        def below(folder: str) -> Iterator[Key]:
            """Looks into no table: its partitions may be many, and each folder is a request."""
            found = self._filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
            if any(info.base_name == "_delta_log" for info in found):
                yield tuple(folder.split("/"))
                return
            for info in found:
                if info.type is fs.FileType.Directory:
                    yield from below(info.path)

        return sorted(below(""))

    def holds(self, key: Key) -> bool:
        return key in self._tables or DeltaTable.is_deltatable(self.uri(key), self.options)

    def table(self, key: Key, version: int | None = None) -> DeltaTable:
        """As `Files` says. The newest version is remembered, and what was committed since is read: opening a table reads every commit, each a request."""
        if version is not None:
            return DeltaTable(self.uri(key), version=version, storage_options=self.options)
        if known := self._tables.get(key):
            known.update_incremental()
            return known
        return self._tables.setdefault(key, DeltaTable(self.uri(key), storage_options=self.options))

    def staging(self, key: Key) -> Path:
        return self._scratch.joinpath(*key)

    def keep(self, key: Key, files: Sequence[WrittenFile]) -> None:
        staging, prefix = self.staging(key), "/".join(key)

        def move(file: WrittenFile) -> None:
            path = f"{prefix}/{file.path.relative_to(staging).as_posix()}"
            with file.path.open("rb") as source, self._filesystem.open_output_stream(path, buffer_size=PART) as target:
                shutil.copyfileobj(source, target, CHUNK)
            file.path.unlink()

        with self.reached():
            side_by_side(move, files)

    def addresses(self, key: Key, table: DeltaTable, engine: Engine) -> list[str]:
        actions = pa.table(table.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
        sizes = {unquote(action["path"]): action["size_bytes"] for action in actions}
        filesystem = fs.PyFileSystem(DeltaStorageHandler(self.uri(key), self.options, sizes))
        engine.mount(self._mounted)
        return [self._mounted.add("/".join([*key, path]), filesystem, path, size) for path, size in sizes.items()]

    @contextmanager
    def local(self, key: Key, path: str) -> Iterator[Path]:
        copy = self._scratch / f"{uuid.uuid4().hex}.parquet"
        try:
            with self.reached(), self._filesystem.open_input_file("/".join([*key, path])) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    @contextmanager
    def reached(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is not None:  # of this machine
                raise
            raise LakeError(
                f"the lake {self.root} can't be reached: {_reason(error)}",
                hint="address and credentials come from the environment: docs/operations.md, A lake in an object store",
            ) from None

    @cached_property
    def _filesystem(self) -> fs.FileSystem:
        return fs.PyFileSystem(DeltaStorageHandler(self.root, self.options))


class _Mounted(AbstractFileSystem):
    """What DuckDB sees of a bucket: the files of tables that were asked for. They never change, so their sizes are known from Delta's log."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.protocol = f"seg{uuid.uuid4().hex}"
        self._files: dict[str, tuple[fs.FileSystem, str, int]] = {}
        self._small = lru_cache(maxsize=SMALL_FILES)(self._content)

    def add(self, name: str, filesystem: fs.FileSystem, path: str, size: int) -> str:
        """Makes a file known under a name; returns its address."""
        self._files[name] = (filesystem, path, size)
        return f"{self.protocol}://{name}"

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        filesystem, inside, size = self._files[self._name(path)]
        return BytesIO(self._small(self._name(path))) if size <= SMALL else filesystem.open_input_file(inside)

    def _content(self, name: str) -> bytes:
        filesystem, inside, _size = self._files[name]
        with filesystem.open_input_file(inside) as file:
            return file.read()

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return {"name": path, "size": self._files[self._name(path)][2], "type": "file"}

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._name(path) in self._files

    def modified(self, path: str) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self.protocol}://")


def _reason(error: OSError) -> str:
    """The store's own code and message, else the innermost cause: in one line, and without what it says about the request."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    told = re.search(r"<Code>([^<]*)</Code>\s*(?:<Message>([^<]*)</Message>)?", text)
    return ", ".join(part for part in told.groups() if part) if told else text.strip().splitlines()[-1].strip(" ↳")
