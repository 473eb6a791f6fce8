"""A text file as physical lines, whatever its encoding, compression and damage. What a line means is not decided here."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

BLOCK = 1 << 20
"""Bytes read at once."""
MAX_RECORD = 16 << 20
"""Characters of the longest record that is read; longer ones are rejected so that memory stays bounded."""

_CODECS = {
    "utf-8": ("utf-8", "surrogateescape"),
    "utf-16-le": ("utf-16-le", "surrogatepass"),
    "utf-16-be": ("utf-16-be", "surrogatepass"),
    "latin-1": ("latin-1", "strict"),
    "windows-1252": ("cp1252", "surrogateescape"),
}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Lines:
    """Iterates over lists of physical lines, about `BLOCK` characters each.

    Line ends are included (\\n, \\r\\n, or \\r where the file knows nothing else); a byte order mark is not part of a line.

    A character that can't be decoded appears as a lone surrogate; a line longer than `MAX_RECORD` is cut after `MAX_RECORD + 1` characters.

    Attributes:
        dirty: whether lone surrogates or NUL characters may have been among the lines so far.
        cut_off: set at the end when the gzip stream ended too early. The incomplete last line is then left out.
    """

    def __init__(self, file: BufferedIOBase, encoding: str) -> None:
        self.dirty = self.cut_off = False
        self._lines = self._read(file, encoding)

    def __iter__(self) -> Iterator[list[str]]:
        return self._lines

    def _read(self, file: BufferedIOBase, encoding: str) -> Iterator[list[str]]:
        end, pending = "", ""
        for text in self._texts(file, encoding):
            if "\0" in text or not _encodable(text):
                self.dirty = True
            pending += text
            end = end or _line_end(pending)
            if not end:
                continue
            *complete, pending = pending.split(end)
            if complete:
                yield [line[: MAX_RECORD + 1] + end for line in complete]
            pending = pending[: MAX_RECORD + 1]
        if not end and "\r" in pending:
            *complete, pending = pending.split("\r")
            yield [f"{line}\r" for line in complete]
        if pending and not self.cut_off:
            yield [pending]

    def _texts(self, file: BufferedIOBase, encoding: str) -> Iterator[str]:
        block = self._block(file)
        while len(block) < len(codecs.BOM_UTF8) and (more := self._block(file)):
            block += more
        name, skip = _resolved(encoding, block)
        codec, errors = _CODECS[name]
        decoder = codecs.getincrementaldecoder(codec)(errors)
        block = block[skip:] or self._block(file)
        while block:
            yield decoder.decode(block)
            block = self._block(file)
        try:
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError:  # half a UTF-16 unit at the end
            yield "\udcff"

    def _block(self, file: BufferedIOBase) -> bytes:
        try:
            return file.read1(BLOCK)  # read() would drop what came before the end of a gzip stream that is cut off
        except EOFError:
            self.cut_off = True
            return b""


def open_bytes(path: Path) -> BufferedIOBase:
    """The file's bytes, unpacked when its name ends in .gz."""
    return cast(BufferedIOBase, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def gzip_damage(path: Path) -> str:
    """Why nothing in a gzip file can be trusted, or "". A file that only ends too early is not damaged: what is there, is right."""
    try:
        with gzip.open(path, "rb") as file:
            while file.read(BLOCK):
                pass
    except EOFError:
        return ""
    except (gzip.BadGzipFile, zlib.error):
        return "not a sound gzip file (its checksum or format is wrong)"
    return ""


def text_fault(text: str) -> str:
    """Why a piece of text can't be used, or "". The text is not quoted in the answer."""
    if len(text) > MAX_RECORD:
        return f"longer than {MAX_RECORD:,} characters"
    if "\0" in text:
        return "holds a NUL character (is the file UTF-16, or was it cut off by a crash?)"
    return "" if _encodable(text) else "holds bytes that are not valid in the file's encoding"


def _line_end(text: str) -> str:
    """What ends the lines of a file that begins with `text`, or "" where that can't be told yet."""
    if "\n" in text:
        return "\n"
    return "\r" if len(text) > BLOCK and "\r" in text[:-1] else ""


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _resolved(encoding: str, head: bytes) -> tuple[str, int]:
    """The codec's name and the length of the byte order mark to skip."""
    for mark, name in _MARKS:
        if head.startswith(mark) and (encoding == "auto" or name.startswith(encoding)):
            return name, len(mark)
    return {"auto": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding), 0
