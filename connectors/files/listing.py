"""Which files a glob means right now, and a digest of that. File contents are not read here.

Unlike `glob` and `pathlib`, a folder that can't be listed is an error: taking its files for deleted would empty their slices.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from connectors.errors import SourceError

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Found:
    """One thing a glob matched.

    Args:
        slice: its path relative to the glob's root (the folders before the first wildcard), with `/`.
        path: where it is.
        size: bytes; with `mtime_ns` the cheap sign of a change.
        mtime_ns: last modification, nanoseconds since 1970.
        refused: why it will not be read, or "".
    """

    slice: str
    path: Path
    size: int
    mtime_ns: int
    refused: str = ""


def list_files(pattern: str, project: Path) -> list[Found]:
    """Everything `pattern` matches, oldest change first, so that a file being written right now is read last.

    Names that start with a dot match only patterns that do; `**` does not follow links to folders.

    Args:
        pattern: glob, absolute or relative to `project`.
        project: the project's folder. With a relative pattern, links that lead out of it are refused.

    Raises:
        SourceError: a folder can't be listed.
    """
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if _is_magic(part)), len(parts) - 1)
    absolute = Path(pattern).is_absolute()
    root = project.joinpath(*parts[:fixed])
    inside = None if absolute else project.resolve()
    any_name = not _suffix(parts[-1])
    try:
        paths = dict.fromkeys(_expand(root, parts[fixed:]))
        found = [one for path in paths if (one := _found(path, root, inside, skip_folders=any_name))]
    except OSError as error:
        raise SourceError(f"can't list {error.filename}: {error.strerror}", hint="nothing was read or removed") from error
    return sorted(found, key=lambda one: (one.mtime_ns, one.slice))


def digest(files: Iterable[Found], options: str) -> str:
    """Changes when a file appears, disappears or changes size or time, and when the options change."""
    lines = sorted(f"{one.slice}\0{one.size}\0{one.mtime_ns}\0{one.refused}" for one in files)
    return hashlib.blake2b("\n".join([options, *lines]).encode(), digest_size=16).hexdigest()


def _is_magic(part: str) -> bool:
    return not _MAGIC.isdisjoint(part)


def _suffix(part: str) -> str:
    """The literal end of a pattern's last part, e.g. ".csv" of "*.csv"."""
    return part[max(part.rfind(sign) for sign in "*?]") + 1 :]


def _expand(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _expand(folder, rest or ("*",))
        for entry in _entries(folder):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _expand(folder / entry.name, parts)
    elif not _is_magic(first):
        if os.path.lexists(folder / first):
            yield from _expand(folder / first, rest)
    else:
        for entry in _entries(folder):
            hidden = entry.name.startswith(".") and not first.startswith(".")
            if not hidden and fnmatchcase(entry.name, first) and (not rest or entry.is_dir()):
                yield from _expand(folder / entry.name, rest)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _found(path: Path, root: Path, inside: Path | None, *, skip_folders: bool) -> Found | None:
    name = path.relative_to(root).as_posix()
    slice = os.fsencode(name).decode("utf-8", "backslashreplace")
    try:
        status = path.stat()
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP}:
            raise
        if not path.is_symlink():
            return None  # removed since it was listed
        return Found(slice, path, 0, path.lstat().st_mtime_ns, "a link to a file that does not exist")
    refused = ""
    if stat.S_ISDIR(status.st_mode):
        if skip_folders:
            return None
        refused = "a folder, not a file; end the path with /* to read what is in it"
    elif not stat.S_ISREG(status.st_mode):
        refused = "not a regular file"
    elif inside is not None and not path.resolve().is_relative_to(inside):
        refused = "a link that leads out of the project's folder; use an absolute path to allow it"
    elif slice != name:
        refused = "the file's name is not UTF-8"
    return Found(slice, path, 0 if refused else status.st_size, status.st_mtime_ns, refused)
