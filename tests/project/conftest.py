"""Project folders written by tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    """Writes files into an empty project folder; `yaml` is project.yaml."""

    def write(yaml: str, **others: str) -> Path:
        (tmp_path / "project.yaml").write_text(yaml, encoding="utf-8")
        for name, text in others.items():
            (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write
