"""`seg`, called in this process the way a terminal calls it. Starting another one costs seconds; `test_outside_world.py` does."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seg_assets.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as a whole: whatever else were printed there would not be JSON."""
        return json.loads(self.out)

    @property
    def mistake(self) -> str:
        """The one line that says what the user did wrong."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("seg: ")
        assert self.err.count("\n") == 1
        return self.err.strip()


def seg(*arguments: str | Path, **environment: str | Path) -> Done:
    """Runs `seg` with these arguments, and these environment variables beside the process's own."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr("sys.argv", ["seg", *map(str, arguments)])
        for name, value in environment.items():
            patch.setenv(name, str(value))
        try:
            main()
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def files(*folders: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file and folder below some folders."""
    found = [path for folder in folders for path in folder.rglob("*") if path.name != "__pycache__" and path.parent.name != "__pycache__"]
    return {str(path): (path.stat().st_size if path.is_file() else 0, path.stat().st_mtime_ns) for path in found}
