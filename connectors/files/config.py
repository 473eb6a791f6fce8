"""Configuration of the `files` source. No file is touched here."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from connectors.types import Config

StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Format = Literal["auto", "csv", "jsonl", "parquet"]
Encoding = Literal["auto", "utf-8", "utf-16", "latin-1", "windows-1252"]


class FileOptions(Config):
    """How files are read."""

    format: Format = Field(
        "auto", description="csv, jsonl or parquet; auto: told by the file's name (.csv .tsv .txt .jsonl .ndjson .parquet, first two also .gz)."
    )
    encoding: Encoding = Field("auto", description="Of CSV and JSON Lines files. auto: UTF-8, or what a byte order mark says.")
    delimiter: Annotated[str, Field(min_length=1)] = Field(
        "auto", description="One character between CSV fields; auto: comma, semicolon, tab or bar, told by the first lines."
    )
    header: bool = Field(True, description="The first CSV record names the columns; otherwise they are column_1, column_2, ...")
    null_values: tuple[str, ...] = Field((), description="Texts that mean 'no value' besides the empty one, e.g. NULL or N/A.")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, text: str) -> str:
        text = {"\\t": "\t", "tab": "\t"}.get(text, text)
        if text != "auto" and (len(text) != 1 or text in '"\r\n\0'):
            raise ValueError("must be one character other than a quote or line end, or auto")
        return text


class StreamFiles(FileOptions):
    """One stream of several in a connection; options it does not state are taken from the connection."""

    path: str = Field(description="Glob of the stream's files, relative to the project's folder or absolute; ** means any depth.")

    @field_validator("path")
    @classmethod
    def _inside(cls, text: str) -> str:
        return _checked_path(text)


class FilesConfig(FileOptions):
    """Files on this machine, as one stream (`path`) or several (`streams`)."""

    path: str | None = Field(None, description="Glob of the files, relative to the project's folder or absolute; ** means any depth.")
    stream: StreamName = Field("rows", description="Name of the stream that `path` delivers.")
    streams: dict[StreamName, StreamFiles] = Field(default_factory=dict, description="Several streams, each with its own path and options.")

    @field_validator("path")
    @classmethod
    def _inside(cls, text: str | None) -> str | None:
        return text if text is None else _checked_path(text)

    @model_validator(mode="after")
    def _one_way(self) -> FilesConfig:
        if (self.path is None) == (not self.streams):
            raise ValueError("state either `path` or `streams`")
        if self.streams and "stream" in self.model_fields_set:
            raise ValueError("`stream` names what `path` delivers; with `streams` the names are its keys")
        return self

    def by_stream(self) -> dict[str, StreamFiles]:
        """Every stream with its complete options."""
        shared = self.model_dump(include=set(FileOptions.model_fields))
        if self.path is not None:
            return {self.stream: StreamFiles(path=self.path, **shared)}
        return {name: StreamFiles(**(shared | one.model_dump(exclude_unset=True))) for name, one in self.streams.items()}


def _checked_path(text: str) -> str:
    path = PurePath(text)
    if not path.parts or "\0" in text:
        raise ValueError("the path is empty or holds a NUL character")
    if not path.is_absolute() and ".." in path.parts:
        raise ValueError("a relative path must stay inside the project's folder; use an absolute path for files elsewhere")
    return text
